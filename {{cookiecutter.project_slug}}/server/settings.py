"""Settings of the tenants' sites. `settings_public.py` changes some for the main website.

Values that differ between environments come from environment variables, in development from `.env`.
`.env.example` names every variable.
"""

import re
import warnings
from ipaddress import ip_address
from pathlib import Path

from csp.constants import NONCE
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from tenancy import email_provider, hosts, s3
from tenancy.environment import Env, EnvError, validate
from tenancy.people.social import providers
from tenancy.postgres import embedded

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
try:
    env.read_env(BASE_DIR / ".env", recurse=False)
except (OSError, ValueError) as error:  # not to be opened, not UTF-8, a directory
    raise EnvError(f"{BASE_DIR / '.env'} can't be read: {error}.") from None

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", validate=validate.Length(min=50))
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
DOMAIN = env.str("DOMAIN", validate=validate.Regexp(hosts.HOST, error=hosts.HOST_RULE))
ALLOWED_HOSTS = ["*"]  # TenantMiddleware lets in the hosts that the database knows, and no others

PROJECT_NAME = env.str("PROJECT_NAME", default=DOMAIN, validate=validate.Length(max=200))
PROJECT_SLUG = slugify(PROJECT_NAME) or PROJECT_NAME.encode().hex()[:32]
# What begins with this in a Redis is this project's. Others may use the same Redis.
NAMESPACE = f"{PROJECT_SLUG}.{DOMAIN}:"
ADMIN_USERNAME = env.str("ADMIN_USERNAME", default="admin")
ADMIN_EMAIL = env.str("ADMIN_EMAIL", default=f"{ADMIN_USERNAME}@{DOMAIN}")
ADMIN_PASSWORD = env.str("ADMIN_PASSWORD", default="")

# Apps

SHARED_APPS = [
    "tenancy",  # first: its commands and templates replace the libraries'
    "server.tenants",
    "server.users",
    "server.website",
    "tenancy.apps.TenantAdminConfig",  # before django_tenants, whose templates have inline styles
    "django_tenants",
    "tenant_users.tenants",
    "tenant_users.permissions",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "django.contrib.auth",
    "django.contrib.contenttypes",  # only here, so that every schema uses the same ids
    "django.contrib.humanize",  # for the page of sessions
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

TENANT_APPS = [
    "server.notes",
    "tenant_users.permissions",
    "tenancy.apps.TenantAdminConfig",
    "django.contrib.auth",
    "django.contrib.sessions",
]

INSTALLED_APPS = [*SHARED_APPS, *(app for app in TENANT_APPS if app not in SHARED_APPS)]

# Database

LOCAL_BACKEND = "django.db.backends.postgresql"
# template: if cookiecutter.use_postgis
LOCAL_BACKEND = "django.contrib.gis.db.backends.postgis"
# template: endif
is_database_url = validate.Regexp(
    r"(postgres|postgresql|postgis)://[^/#?]+/[^/#?]+(\?[^#]*)?\Z",
    error="Write it like postgres://user:password@host:5432/name, with other characters"
    " than letters and digits in the password encoded, such as %40.",
)
if env.str("DATABASE_URL", default="") or not DEBUG:
    env.str("DATABASE_URL", validate=is_database_url)
    DATABASE = env.dj_db_url("DATABASE_URL")
else:
    DATABASE = embedded.database(LOCAL_BACKEND)

ORIGINAL_BACKEND = DATABASE["ENGINE"]
# Seconds. A connection needs more memory with every schema that it visits.
persistent = {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
DATABASES = {"default": DATABASE | {"ENGINE": "tenancy.database"} | persistent}
if env.str("REPLICA_URL", default=""):  # pages read there (docs/scale.md)
    env.str("REPLICA_URL", validate=is_database_url)
    DATABASES["replica"] = (
        env.dj_db_url("REPLICA_URL")
        | {"ENGINE": "tenancy.database.replica", "TEST": {"MIRROR": "default"}}
        | persistent
    )
REPLICA_MAX_LAG = env.int("REPLICA_MAX_LAG", default=5, validate=validate.Range(min=1))  # seconds
DATABASE_ROUTERS = [
    "tenancy.isolation.router.TenantRouter",
    "django_tenants.routers.TenantSyncRouter",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# template: if cookiecutter.use_postgis
# Geography. With postgres:// in DATABASE_URL the project runs without it.

import sys  # noqa: E402 (with the rest of the option)

if ORIGINAL_BACKEND == "django.contrib.gis.db.backends.postgis":
    from tenancy.postgis import libraries

    GDAL_LIBRARY_PATH, GEOS_LIBRARY_PATH = libraries.find()
    SHARED_APPS += ["tenancy.postgis", "django.contrib.gis", "django.contrib.postgres", "leaflet"]
    TENANT_APPS += ["server.places"]
    INSTALLED_APPS = [*SHARED_APPS, *(app for app in TENANT_APPS if app not in SHARED_APPS)]

if DEBUG or sys.argv[1:2] != ["check"]:
    # GDAL before 3.9 (Debian 12, Ubuntu 24.04) opens URLs in spatial references. Django refuses
    # such references in GeoJSON. `check` in production warns of it, other commands don't repeat it.
    SILENCED_SYSTEM_CHECKS = ["gis.W001"]

LEAFLET_CONFIG = {
    "TILES": [],
    "DEFAULT_CENTER": (20, 0),
    "DEFAULT_ZOOM": 1,
    "RESET_VIEW": False,
    "ATTRIBUTION_PREFIX": False,
    "PLUGINS": {
        "maps": {"js": "places/maps.js", "css": "places/maps.css", "auto-include": True},
    },
}
MAP_TILES = env.str(
    "MAP_TILES",
    default="",
    validate=validate.Regexp(
        r"(https?://.+[{]z[}].*)?\Z",
        error="Write a URL with z, x and y in braces, as in .env.example.",
    ),
)
if MAP_TILES:
    about = {"attribution": env.str("MAP_ATTRIBUTION"), "referrerPolicy": "origin"}
    LEAFLET_CONFIG["TILES"] = [("", MAP_TILES, about)]

# template: endif
# Cache. Its keys contain the tenant's schema, so no tenant reads another one's values.

CACHE_URL = env.str("CACHE_URL", default="", validate=validate.Regexp(r"((rediss?|unix)://.+)?\Z"))
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache"
        if CACHE_URL
        else "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": CACHE_URL,
        "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2} if CACHE_URL else {},
        "KEY_FUNCTION": "django_tenants.cache.make_key",
        "KEY_PREFIX": NAMESPACE,
    }
}

# Tenants

TENANT_MODEL = "tenants.Tenant"
TENANT_DOMAIN_MODEL = "tenants.Domain"
TENANT_ORGANIZATION_MODEL = "tenants.Organization"
TENANT_USERS_DOMAIN = DOMAIN
# How many schemas wait for tenants to come (docs/scale.md).
SPARE_SCHEMAS = env.int("SPARE_SCHEMAS", default=0, validate=validate.Range(min=0))
TENANT_GRACE_DAYS = env.int("TENANT_GRACE_DAYS", default=30, validate=validate.Range(min=0))
TENANCY_HISTORY_DAYS = 365  # how long the log keeps what people did
GET_EXECUTOR_FUNCTION = "tenancy.fleet.get_executor"
TENANT_BASE_MIGRATE_COMMAND = "tenancy.fleet.migrate.Command"
TENANT_COLOR_ADMIN_APPS = False  # a site shows apps of one kind only

# What a workspace may have, by its plan. `tenant.limit("notes")` returns the number, or None if
# there is none. The engine counts `seats`, and your apps count what is theirs.
TENANCY_LIMITS = {
    "free": {"seats": 5, "notes": 100},
    "team": {"seats": 50},
}
SERVE_TENANTS = True
SERVE_PUBLIC = env.bool("SERVE_PUBLIC", default=DEBUG)

# Domains of customers (docs/domains.md). DOMAIN_CHALLENGE holds for new claims.

DOMAIN_CHALLENGE = f"_{PROJECT_SLUG[:40]}-challenge"
DOMAIN_TARGET = env.str(
    "DOMAIN_TARGET",
    default=f"domains.{DOMAIN}",
    validate=validate.Regexp(hosts.HOST, error=hosts.HOST_RULE),
)
DOMAIN_ADDRESSES = env.list(
    "DOMAIN_ADDRESSES", default=[], validate=lambda texts: [*map(ip_address, texts)]
)
DOMAIN_GRACE_DAYS = env.int("DOMAIN_GRACE_DAYS", default=14, validate=validate.Range(min=0))
DOMAIN_RESOLVER = env.str(
    "DOMAIN_RESOLVER", default="", validate=validate.Regexp(r"([0-9.]+(:[0-9]+)?)?\Z")
)

# Requests

ROOT_URLCONF = "server.urls"
PUBLIC_SCHEMA_URLCONF = "server.urls_public"
WSGI_APPLICATION = "server.wsgi.application"

MIDDLEWARE = [
    "tenancy.health.probes.ProbesMiddleware",
    "tenancy.requests.request_id.RequestIdMiddleware",
    "tenancy.requests.headers.HeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",  # before the next, for pages at unknown hosts
    "tenancy.requests.middleware.TenantMiddleware",  # before what asks for a host, or redirects
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tenancy.requests.middleware.MembershipMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "tenancy.people.mfa.required.MFARequiredMiddleware",
    "tenancy.requests.preferences.PreferencesMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "server" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# People

AUTH_USER_MODEL = "users.User"

# The roles of members besides the owner. `tenancy/roles.py` describes the keys.
TENANCY_ROLES = {
    "admin": {
        "label": _("Admin"),
        "description": _("Manages people, settings and keys, and may change all notes."),
        "is_staff": True,
        "is_superuser": True,
    },
    "member": {"label": _("Member"), "description": _("Reads and writes notes.")},
}
AUTHENTICATION_BACKENDS = ["tenancy.people.backend.UserBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "home"

# Accounts. People sign up and sign in on the main website alone, which hands the sign-in over to
# their workspaces. These are settings of django-allauth, and the engine relies on the first seven.

ACCOUNT_ADAPTER = "tenancy.people.account.adapter.AccountAdapter"
ACCOUNT_FORMS = {"signup": "tenancy.people.account.forms.SignUpForm"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]  # SignUpForm drops the password; sign-in needs it
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_PRESERVE_USERNAME_CASING = False
ACCOUNT_RATE_LIMITS = False  # the adapter counts with `tenancy.limits`, for all processes together
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_LOGIN_METHODS = {"email", "username"}
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_MAX_EMAIL_ADDRESSES = 5

# Two-step sign-in, with authenticator apps and passkeys. To do without, take `allauth.mfa` out of
# SHARED_APPS and set MFA_REQUIRED=off. The engine relies on the first two.

MFA_ADAPTER = "tenancy.people.mfa.adapter.MFAAdapter"
MFA_FORMS = {
    "activate_totp": "tenancy.people.mfa.forms.ActivateTOTPForm",
    "add_webauthn": "tenancy.people.mfa.forms.AddPasskeyForm",
    "authenticate": "tenancy.people.mfa.forms.AuthenticateForm",
    "authenticate_webauthn": "tenancy.people.mfa.forms.AuthenticateByPasskeyForm",
    "login_webauthn": "tenancy.people.mfa.forms.SignInByPasskeyForm",
    "reauthenticate": "tenancy.people.mfa.forms.ReauthenticateForm",
    "reauthenticate_webauthn": "tenancy.people.mfa.forms.ReauthenticateByPasskeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_TOLERANCE = 1  # a phone's clock may be half a minute wrong
MFA_ALLOW_UNVERIFIED_EMAIL = True  # of a second address; the first one is always verified
MFA_RATE_LIMITS = False  # the forms count with `tenancy.limits`

# Whose account has no page until a second factor is set up: `staff`, `all`, or `off` for nobody.
MFA_REQUIRED = env.str(
    "MFA_REQUIRED",
    default="off" if DEBUG else "staff",
    validate=validate.OneOf(["off", "staff", "all"]),
)

SIGN_UP = env.bool("SIGN_UP", default=True)
TERMS_VERSION = "1"  # change it with the terms: a line in the log says who accepted which version

# Where workspaces send people to sign in. Empty: to DOMAIN, at the same port.
MAIN_WEBSITE_URL = env.str(
    "MAIN_WEBSITE_URL", default="", validate=validate.Regexp(r"(https?://[^/?#]+)?\Z")
)
SIGNING_BACKEND = "tenancy.isolation.signing.TenantSigner"

# Never a cache in the memory of one process: a person who signs out would stay signed in elsewhere.
SESSION_ENGINE = "django.contrib.sessions.backends." + ("cached_db" if CACHE_URL else "db")

MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# Providers with whom people can sign in instead, each a line of `.env`. Without one nothing of this
# is installed. To add another provider of django-allauth's, name it in SOCIALACCOUNT_PROVIDERS.

SOCIALACCOUNT_PROVIDERS = providers.configured(
    google=env.str(
        "GOOGLE",
        default="",
        validate=validate.Regexp(providers.GOOGLE, error=providers.GOOGLE_RULE),
    ),
    oidc=env.str(
        "OIDC", default="", validate=validate.Regexp(providers.OIDC, error=providers.OIDC_RULE)
    ),
)
SOCIALACCOUNT_ADAPTER = "tenancy.people.social.adapter.SocialAccountAdapter"
SOCIALACCOUNT_FORMS = {
    "signup": "tenancy.people.social.forms.ProviderSignUpForm",
    "disconnect": "tenancy.people.social.forms.DisconnectForm",
}
if SOCIALACCOUNT_PROVIDERS:
    SOCIAL_APPS = [
        "allauth.socialaccount",
        *(f"allauth.socialaccount.providers.{name}" for name in SOCIALACCOUNT_PROVIDERS),
    ]
    SHARED_APPS += SOCIAL_APPS
    INSTALLED_APPS += SOCIAL_APPS
    MIDDLEWARE += ["tenancy.people.social.middleware.ProviderMiddleware"]

# Transport. Cookies have no domain, so a session is valid on one host only. With TLS their names
# make browsers enforce it, whatever another host under the same domain sets. The names are the
# project's own, because all projects on localhost get each other's cookies.

HTTPS = env.bool("HTTPS", default=not DEBUG)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
COOKIE_PREFIX = f"{'__Host-' if HTTPS else ''}{PROJECT_SLUG}"
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}_session"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}_csrf"
LANGUAGE_COOKIE_NAME = f"{COOKIE_PREFIX}_language"
if HTTPS:
    SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=3600)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
if env.bool("TRUST_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# How many entries of X-Forwarded-For, from the right, are by proxies of ours.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0, validate=validate.Range(min=0))

# The port in links, where it isn't the scheme's. Development takes that of `runserver`.
WORKSPACE_PORT = env.int("WORKSPACE_PORT", default=None)

# The port for machines: health, metrics, Caddy's questions. No proxy leads there.
INTERNAL_PORT = env.int("INTERNAL_PORT", default=None)

# What pages may do in a browser (docs/operate.md). None has an inline style, nor an inline script
# without a nonce.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'", NONCE],  # on pages that use request.csp_nonce
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],  # browsers hold the redirect after a form to it, too
        "frame-ancestors": ["'none'"],
    }
}

# template: if cookiecutter.use_postgis
if MAP_TILES:
    tiles = re.match("https?://[^/]+", MAP_TILES)[0].replace("{s}", "*")
    CONTENT_SECURITY_POLICY["DIRECTIVES"]["img-src"].append(tiles)
# template: endif
RESPONSE_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

# E-mail

EMAIL_TIMEOUT = 10  # seconds
EMAIL_URL = env.str("EMAIL_URL", default="")
if DEBUG and not (EMAIL_URL or env.str("EMAIL_HOST", default="")):
    EMAIL_BACKEND = "tenancy.emails.ConsoleBackend"
    EMAIL_FILE_PATH = BASE_DIR / ".mail"  # http://localhost:8000/_mail/ shows them
else:
    EMAIL_BACKEND = "tenancy.outbox.EmailBackend"  # a thread sends, and no request waits
    if EMAIL_URL:
        TENANCY_EMAIL_BACKEND, ANYMAIL = email_provider.read(EMAIL_URL)
        ANYMAIL["REQUESTS_TIMEOUT"] = EMAIL_TIMEOUT
    else:
        EMAIL_HOST = env.str("EMAIL_HOST", validate=validate.Length(min=1))
        EMAIL_PORT = env.int("EMAIL_PORT", default=587)
        EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
        EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
        EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", default=True)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"no-reply@{DOMAIN}")

# Static files and uploads

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / env.path("STATIC_ROOT", default="static_root")
if BASE_DIR.is_relative_to(STATIC_ROOT.resolve()):
    raise EnvError(
        'Environment variable "STATIC_ROOT" invalid: it would publish the code and .env.'
    )
STATICFILES_DIRS = [BASE_DIR / "server" / "static"]
MEDIA_URL = "media/"
MEDIA_ROOT = BASE_DIR / env.path("MEDIA_ROOT", default="media")
PRIVATE_ROOT = BASE_DIR / env.path("PRIVATE_ROOT", default="private")  # exports and archives
SENDFILE_HEADER = env.str(
    "SENDFILE_HEADER", default="", validate=validate.OneOf(["", "X-Accel-Redirect", "X-Sendfile"])
)
STORAGES = {
    "default": {"BACKEND": "tenancy.isolation.media.TenantStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

UPLOADS_URL = env.str("UPLOADS_URL", default="")
if UPLOADS_URL:  # uploads are objects in a bucket, which browsers get from its server
    bucket = s3.options("UPLOADS_URL", UPLOADS_URL)
    STORAGES["default"] = {
        "BACKEND": "tenancy.isolation.objects.ObjectStorage",
        "OPTIONS": bucket,
    }
    CONTENT_SECURITY_POLICY["DIRECTIVES"]["img-src"].append(bucket["endpoint_url"])
    CONTENT_SECURITY_POLICY["DIRECTIVES"]["media-src"] = ["'self'", bucket["endpoint_url"]]

# Archives of the tenants (docs/backups.md): an absolute path, or a bucket with a key of its own.
BACKUPS_URL = env.str("BACKUPS_URL", default="")
BACKUPS_KEEP = env.int("BACKUPS_KEEP", default=7, validate=validate.Range(min=1))
BACKUPS_DAYS = env.int("BACKUPS_DAYS", default=30, validate=validate.Range(min=0))

if DEBUG:  # WhiteNoise serves the files from the apps, and STATIC_ROOT needn't exist
    warnings.filterwarnings("ignore", message="No directory at")

# template: if cookiecutter.use_celery
# Background work

from celery.schedules import crontab  # noqa: E402 (with the rest of the option)

SHARED_APPS += ["tenancy.background"]
INSTALLED_APPS += ["tenancy.background"]

if DEBUG and not env.str("CELERY_BROKER_URL", default=""):
    MESSAGES = BASE_DIR / ".celery"
    MESSAGES.mkdir(exist_ok=True)
    CELERY_BROKER_URL = "filesystem://localhost"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(MESSAGES),
        "data_folder_out": str(MESSAGES),
        "control_folder": str(MESSAGES / "control"),
    }
else:
    CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", validate=validate.Length(min=1))
    # Redis redelivers a task that is not acknowledged within this time. It must exceed the longest
    # that a live task can take: five prefetched tasks at CELERY_TASK_TIME_LIMIT each.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "global_keyprefix": NAMESPACE,
        "visibility_timeout": 3600,
        "socket_connect_timeout": 2,
        "socket_timeout": 5,
    }
CELERY_TASK_DEFAULT_QUEUE = PROJECT_SLUG  # also for brokers that have no prefixes
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_TASK_SOFT_TIME_LIMIT = 9 * 60  # seconds; raises in the task, which can clean up
CELERY_TASK_TIME_LIMIT = 10 * 60  # kills it

# If a worker is killed, its task runs again. Write tasks that can run twice, or declare them with
# acks_late=False: then they are lost instead.
CELERY_TASK_ACKS_LATE = CELERY_TASK_REJECT_ON_WORKER_LOST = True

CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True  # a worker may start before its broker
CELERY_DB_REUSE_MAX = 10**9  # tasks; CONN_MAX_AGE closes connections instead
CELERY_RESULT_BACKEND = env.str("CELERY_RESULT_BACKEND", default="") or None  # chords need one
CELERY_REDIS_SOCKET_CONNECT_TIMEOUT, CELERY_REDIS_SOCKET_TIMEOUT = 2, 5
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1}  # who sends a task waits for this
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"global_keyprefix": NAMESPACE}

# Beat has no tenant, so it sends public tasks. `in_each_tenant` sends a task to each tenant.
CELERY_BEAT_SCHEDULE = {
    "digest": {
        "task": "tenancy.background.tasks.in_each_tenant",
        "schedule": crontab(hour=6, minute=0),
        "kwargs": {"task": "server.notes.tasks.send_digest", "window": 1800},
    },
    "purge": {
        "task": "tenancy.background.tasks.purge_deleted",
        "schedule": crontab(hour=3, minute=0),
    },
    "history": {
        "task": "tenancy.background.tasks.prune_history",
        "schedule": crontab(hour=3, minute=30),
    },
    "clean-up": {
        "task": "tenancy.background.tasks.clean_up_data",
        "schedule": crontab(minute=20),
    },
    "spares": {
        "task": "tenancy.background.tasks.make_spare_schemas",
        "schedule": crontab(),
    },
    "domains": {
        "task": "tenancy.background.tasks.check_domains",
        "schedule": crontab(minute="*/10"),
    },
    "resume": {
        "task": "tenancy.background.tasks.resume_unfinished",
        "schedule": crontab(minute="*/10"),
    },
}
PROVISION_IN_BACKGROUND = True  # if requested, as by the admin

# A worker sends the e-mails. Those that development prints need none.
if EMAIL_BACKEND == "tenancy.outbox.EmailBackend":
    EMAIL_BACKEND = "tenancy.background.mail.EmailBackend"

# template: endif
# Log to stderr, with the tenant in each line. Errors also go to Sentry, or by e-mail to ADMINS.

SENTRY_DSN = env.str(
    "SENTRY_DSN", default="", validate=validate.Regexp(r"(https?://[^@/]+@[^@/]+/.*[0-9]+)?\Z")
)
RELEASE = env.str("RELEASE", default="") or None
if SENTRY_DSN:
    from tenancy.health import sentry

    sentry.start(SENTRY_DSN, release=RELEASE, environment=DOMAIN)

ADMINS = env.str("ADMINS", default="", validate=validate.Regexp(r"([^\s,@]+@[^\s,@]+(,\s*|\Z))*\Z"))
ADMINS = [(address, address) for address in re.findall(r"[^\s,]+", ADMINS)]

LOG_FORMAT = env.str(
    "LOG_FORMAT",
    default="line" if DEBUG else "json",
    validate=validate.OneOf(["line", "json"]),
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"tenant": {"()": "tenancy.isolation.logs.TenantFilter"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname} {tenant} {name}: {message}", "style": "{"},
        "json": {"()": "tenancy.isolation.logs.JsonFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "filters": ["tenant"],
            "formatter": LOG_FORMAT,
        },
        "admins": {
            "class": "tenancy.health.error_mails.ErrorMailHandler",
            "filters": ["tenant"],
            "level": "ERROR",
        },
    },
    "root": {
        "handlers": ["stderr"] if DEBUG or SENTRY_DSN or not ADMINS else ["stderr", "admins"],
        "level": "INFO",
    },
    "loggers": {"django": {"handlers": []}},  # or each of its lines would appear twice
}

# Reports of errors have no codes, keys and tokens that are good once. Nor have logs.

DEFAULT_EXCEPTION_REPORTER = "tenancy.masking.ExceptionReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "tenancy.masking.ReportFilter"

# Tests

TEST_RUNNER = "tenancy.testing.runner.PytestRunner"

# Language and time

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]  # the browser chooses, or the person
LOCALE_PATHS = [BASE_DIR / "server" / "locale"]  # the engine has its own, which give way to these
TIME_ZONE = "UTC"
USE_TZ = True
