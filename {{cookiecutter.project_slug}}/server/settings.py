"""Settings of the tenants' sites; `settings_public.py` says what the main website does differently.

What differs from place to place comes from the environment, in development through `.env`;
`.env.example` names every variable.
"""

import warnings
from pathlib import Path

from environs import Env, validate

from server import local_postgres
from server.tenants import hosts

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
env.read_env(BASE_DIR / ".env", recurse=False)

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", validate=validate.Length(min=50))
DOMAIN = env.str("DOMAIN", validate=validate.Regexp(hosts.HOST, error=hosts.HOST_RULE))
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[f".{DOMAIN}"])

PROJECT_NAME = env.str("PROJECT_NAME", default=DOMAIN)
ADMIN_USERNAME = env.str("ADMIN_USERNAME", default="admin")
ADMIN_EMAIL = env.str("ADMIN_EMAIL", default=f"{ADMIN_USERNAME}@{DOMAIN}")
ADMIN_PASSWORD = env.str("ADMIN_PASSWORD", default="")

# Apps

SHARED_APPS = [
    "server.tenants",  # before django_tenants, so that our commands take over from its own
    "server.users",
    "server.website",
    "django_tenants",
    "tenant_users.tenants",
    "tenant_users.permissions",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",  # only here: its ids are then the same in every schema
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    # template: if cookiecutter.use_postgis
    "django.contrib.gis",
    # template: endif
]

TENANT_APPS = [
    "server.notes",
    "tenant_users.permissions",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.sessions",
]

INSTALLED_APPS = [*SHARED_APPS, *(app for app in TENANT_APPS if app not in SHARED_APPS)]

# Database

if env.str("DATABASE_URL", default="") or not DEBUG:
    env.str("DATABASE_URL", validate=validate.Regexp(r"(postgres|postgresql|postgis)://.+/.+"))
    DATABASE = env.dj_db_url("DATABASE_URL")
elif "django.contrib.gis" in INSTALLED_APPS:
    DATABASE = local_postgres.database("django.contrib.gis.db.backends.postgis")
else:
    DATABASE = local_postgres.database("django.db.backends.postgresql")

ORIGINAL_BACKEND = DATABASE["ENGINE"]
DATABASES = {
    "default": DATABASE
    | {
        "ENGINE": "server.database",
        # A connection's memory grows with every schema that it visits: it has an end of life.
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }
}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Tenants

TENANT_MODEL = "tenants.Tenant"
TENANT_DOMAIN_MODEL = "tenants.Domain"
TENANT_USERS_DOMAIN = DOMAIN
SERVE_TENANTS = True
SERVE_PUBLIC = env.bool("SERVE_PUBLIC", default=DEBUG)

# Requests

ROOT_URLCONF = "server.urls"
PUBLIC_SCHEMA_URLCONF = "server.urls_public"
WSGI_APPLICATION = "server.wsgi.application"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",  # also for a page that says: no such host
    "server.tenants.middleware.TenantMiddleware",  # before whatever asks the database
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "server.tenants.middleware.MembershipMiddleware",
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
AUTHENTICATION_BACKENDS = ["tenant_users.permissions.backend.UserBackend"]
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

# Transport. No cookie has a domain: what a person is on one host says nothing on another.

HTTPS = env.bool("HTTPS", default=not DEBUG)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
if HTTPS:
    SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=3600)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
if env.bool("TRUST_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# E-mail

if DEBUG and not env.str("EMAIL_HOST", default=""):
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
else:
    EMAIL_HOST = env.str("EMAIL_HOST")
    EMAIL_PORT = env.int("EMAIL_PORT", default=587)
    EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
    EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
    EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", default=True)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"no-reply@{DOMAIN}")

# Static files and uploads

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / env.path("STATIC_ROOT", default="static_root")
STATICFILES_DIRS = [BASE_DIR / "server" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

if DEBUG:  # then WhiteNoise serves the files from where they are
    warnings.filterwarnings("ignore", message="No directory at")

# template: if cookiecutter.use_celery
# Background work

if DEBUG and not env.str("CELERY_BROKER_URL", default=""):
    CELERY_BROKER_URL = "filesystem://"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        f"{folder}_folder": str(BASE_DIR / ".celery") for folder in ("data_in", "data_out")
    }
else:
    CELERY_BROKER_URL = env.str("CELERY_BROKER_URL")

# template: endif
# Language and time

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
