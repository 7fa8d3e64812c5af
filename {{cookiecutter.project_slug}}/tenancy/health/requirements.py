"""What the engine needs of the project, and the line to add for what is missing.

A new version of the engine adds its needs here. `manage.py upgrade_tenancy` loads this file from
the new version while the old one runs, so it imports nothing of the engine.
"""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise

from django.conf import settings
from django.contrib.admin.sites import all_sites
from django.core.checks import CheckMessage, Error, Warning
from django.urls import URLResolver, get_resolver
from django.utils.module_loading import import_string
from django.utils.version import get_version_tuple

MIDDLEWARE = (  # in this order
    "tenancy.requests.middleware.TenantMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tenancy.requests.middleware.MembershipMiddleware",
    "allauth.account.middleware.AccountMiddleware",
)
# Their commands and templates give way to the engine's.
OVERRIDDEN = (
    "django_tenants",
    "tenant_users.tenants",
    "tenancy.apps.TenantAdminConfig",
    "allauth.account",
    "allauth.mfa",
)
ALLAUTH = ("allauth", "allauth.account", "allauth.usersessions", "django.contrib.humanize")
ACCOUNT_SETTINGS = {
    "ACCOUNT_ADAPTER": '"tenancy.people.account.adapter.AccountAdapter"',
    "ACCOUNT_FORMS": '{"signup": "tenancy.people.account.forms.SignUpForm"}',
    "SIGN_UP": "True",
    "TERMS_VERSION": '"1"',
}
# What signing in with other providers needs, where that is installed.
PROVIDERS = "allauth.socialaccount"
PROVIDER_SETTINGS = {
    "SOCIALACCOUNT_ADAPTER": '"tenancy.people.social.adapter.SocialAccountAdapter"',
    "SOCIALACCOUNT_FORMS": '{"signup": "tenancy.people.social.forms.ProviderSignUpForm"}',
}
# With other values an account could belong to a person who never confirmed its address, or guesses
# would be counted by each process on its own.
FIXED_SETTINGS = {
    "ACCOUNT_SIGNUP_FIELDS": ["email*", "password1*"],
    "ACCOUNT_EMAIL_VERIFICATION": "mandatory",
    "ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED": True,
    "ACCOUNT_PRESERVE_USERNAME_CASING": False,
    "ACCOUNT_RATE_LIMITS": False,
}
# With Django's own, reports of errors have codes and keys that are still good.
REPORTERS = {
    "DEFAULT_EXCEPTION_REPORTER": "tenancy.masking.ExceptionReporter",
    "DEFAULT_EXCEPTION_REPORTER_FILTER": "tenancy.masking.ReportFilter",
}
# Without them secrets would be stored in clear, codes be good twice, and guesses be unlimited.
MFA = "allauth.mfa"
MFA_MIDDLEWARE = "tenancy.people.mfa.required.MFARequiredMiddleware"
MFA_FORMS = {
    name: f"tenancy.people.mfa.forms.{form}"
    for name, form in {
        "activate_totp": "ActivateTOTPForm",
        "add_webauthn": "AddPasskeyForm",
        "authenticate": "AuthenticateForm",
        "authenticate_webauthn": "AuthenticateByPasskeyForm",
        "login_webauthn": "SignInByPasskeyForm",
        "reauthenticate": "ReauthenticateForm",
        "reauthenticate_webauthn": "ReauthenticateByPasskeyForm",
    }.items()
}


def missing_at_start() -> Iterator[CheckMessage]:
    """Yield what is missing that the engine's models and imports need."""
    yield from setting("TENANT_ORGANIZATION_MODEL", '"tenants.Organization"')
    yield from setting("TENANCY_ROLES", '{"admin": {"is_superuser": True}, "member": {}}')
    yield from package("django", "5.2", "7")
    yield from package("django-tenants", "4.0", "4.1")
    yield from package("django-tenant-users", "3.0", "3.1")
    yield from package("django-allauth", "65.22", "66")
    yield from package("dnspython", "2.7", "3")
    yield from package("idna", "3.7", "4")
    yield from package("pillow", "11", "13")
    yield from package("publicsuffixlist", "1.0", "2")
    yield from package("celery", "5.7", "6", app="tenancy.background")
    yield from package("tenant-schemas-celery", "5.0", "5.1", app="tenancy.background")
    yield from package("oauthlib", "4.0", "5", app=PROVIDERS)
    yield from package("pyjwt", "2.0", "3", app=PROVIDERS)
    yield from package("requests", "2.0", "3", app=PROVIDERS)
    for name in ALLAUTH:
        yield from app(name)
    has_providers = PROVIDERS in settings.INSTALLED_APPS
    needed = ACCOUNT_SETTINGS | (PROVIDER_SETTINGS if has_providers else {})
    for name, example in needed.items():
        yield from setting(name, example)


def missing() -> Iterator[CheckMessage]:
    """Yield what is missing: messages of Django's check framework."""
    yield from missing_at_start()
    for name, value in FIXED_SETTINGS.items():
        yield from fixed_setting(name, value)
    for name, value in REPORTERS.items():
        yield from extends(name, value)
    yield from renamed("SITE_PORT", "WORKSPACE_PORT")
    yield from app("tenancy", before=OVERRIDDEN)
    yield from middleware(MIDDLEWARE[0], f"above {MIDDLEWARE[1]}")
    for above, name in pairwise(MIDDLEWARE):
        yield from middleware(name, f"below {above}")
    if PROVIDERS in settings.INSTALLED_APPS:
        yield from app(PROVIDERS)
        yield from middleware("tenancy.people.social.middleware.ProviderMiddleware", "at the end")
    if settings.ROOT_URLCONF != settings.PUBLIC_SCHEMA_URLCONF:  # of the main website alone
        yield from include("tenancy.people.urls", urlconfs=("ROOT_URLCONF",))
        yield from include("tenancy.workspace.urls", "workspace/", urlconfs=("ROOT_URLCONF",))
    public = ("PUBLIC_SCHEMA_URLCONF",)
    yield from include("tenancy.people.urls_public", urlconfs=public)
    yield from include("tenancy.workspace.urls_public", "workspaces/", urlconfs=public)
    yield from admin_sites()
    yield from mfa()


def setting(name: str, example: str) -> Iterator[CheckMessage]:
    if not hasattr(settings, name):
        yield Error(
            f"The setting {name} is missing.",
            hint=f"Add `{name} = {example}` to the settings.",
            id="tenancy.E012",
        )


def fixed_setting(name: str, value) -> Iterator[CheckMessage]:
    """A setting with one possible value."""
    if getattr(settings, name, None) != value:
        yield Error(
            f"The setting {name} isn't {value!r}.",
            hint=f"Write `{name} = {value!r}` in the settings.",
            id="tenancy.E012",
        )


def extends(name: str, wanted: str) -> Iterator[CheckMessage]:
    """A setting that names a class, or one that extends it."""
    if not is_a(wanted, getattr(settings, name)):
        yield Warning(
            f"The setting {name} isn't {wanted}, and doesn't extend it.",
            hint=f'Write `{name} = "{wanted}"` in the settings.',
            id="tenancy.W012",
        )


def renamed(old: str, new: str) -> Iterator[CheckMessage]:
    """A setting that has another name in this version."""
    if hasattr(settings, old):
        hint = f"It is called {new} now, in the settings and in the environment."
        yield Warning(f"The setting {old} has no effect.", hint=hint, id="tenancy.W012")


def package(name: str, first: str, end: str, app: str = "tenancy") -> Iterator[CheckMessage]:
    """A distribution of a version from `first` to before `end`, where `app` is installed."""
    if app not in settings.INSTALLED_APPS:
        return
    wanted = f"{name}>={first},<{end}"
    hint = f'Write "{wanted}" in the dependencies in pyproject.toml, and install it (`uv sync`).'
    try:
        found = version(name)
    except PackageNotFoundError:
        yield Error(f"The package {name} is not installed.", hint=hint, id="tenancy.E014")
        return
    if not get_version_tuple(first) <= get_version_tuple(found) < get_version_tuple(end):
        yield Warning(f"{name} {found} is installed, not {wanted}.", hint=hint, id="tenancy.W014")


def app(
    name: str, setting: str = "SHARED_APPS", before: tuple[str, ...] = ()
) -> Iterator[CheckMessage]:
    """An app in SHARED_APPS or TENANT_APPS, and so in INSTALLED_APPS, before some others."""
    for listed in (setting, "INSTALLED_APPS"):
        if name not in getattr(settings, listed):
            yield Error(
                f"{listed} lacks {name}.", hint=f'Add `"{name}",` to {listed}.', id="tenancy.E011"
            )
            return
    earlier = settings.INSTALLED_APPS[: settings.INSTALLED_APPS.index(name)]
    if overriding := [other for other in before if other in earlier]:
        yield Error(
            f"INSTALLED_APPS has {name} below {', '.join(overriding)}.",
            hint=f'Move `"{name}",` to the top of {setting}.',
            id="tenancy.E011",
        )


def middleware(name: str, place: str) -> Iterator[CheckMessage]:
    if not any(is_a(name, listed) for listed in settings.MIDDLEWARE):
        hint = f'Add `"{name}",` to MIDDLEWARE, {place}.'
        yield Error(f"MIDDLEWARE lacks {name}.", hint=hint, id="tenancy.E005")


def include(
    module: str,
    prefix: str = "",
    urlconfs: tuple[str, ...] = ("ROOT_URLCONF", "PUBLIC_SCHEMA_URLCONF"),
) -> Iterator[CheckMessage]:
    """URLs of the engine, included by each of the modules that these settings name."""
    for urlconf in dict.fromkeys(getattr(settings, name) for name in urlconfs):
        if module not in included(get_resolver(urlconf)):
            yield Error(
                f"{urlconf} doesn't include {module}.",
                hint=f'Add `path("{prefix}", include("{module}")),` to its urlpatterns.',
                id="tenancy.E013",
            )


def admin_sites() -> Iterator[CheckMessage]:
    """Admin sites of the engine, which decide which models are at which host."""
    for site in sorted(all_sites, key=str):
        if not any(base.__module__.startswith("tenancy.") for base in type(site).__mro__):
            yield Error(
                f"{site!r} shows at every host what is registered on it.",
                hint="Write `PublicSite()` for the main website's, or `TenantSite()`. Both are in"
                " tenancy.isolation.admin_site.",
                id="tenancy.E033",
            )


def mfa() -> Iterator[CheckMessage]:
    """What two-step sign-in needs, in a project that has it."""
    required = getattr(settings, "MFA_REQUIRED", "off")
    if MFA not in settings.INSTALLED_APPS:
        if required != "off":
            message = f"MFA_REQUIRED={required} has no effect: SHARED_APPS lacks {MFA}."
            yield Warning(message, hint="Set MFA_REQUIRED=off.", id="tenancy.W017")
        return
    yield from app(MFA)
    path = "tenancy.people.mfa.adapter.MFAAdapter"
    if not is_a(path, getattr(settings, "MFA_ADAPTER", "")):
        hint = f'Write `MFA_ADAPTER = "{path}"` in the settings, or name a class that extends it.'
        yield Error("The setting MFA_ADAPTER isn't the engine's.", hint=hint, id="tenancy.E012")
    forms = getattr(settings, "MFA_FORMS", {})
    for name, path in MFA_FORMS.items():
        if not is_a(path, forms.get(name, "")):
            hint = f'Write `"{name}": "{path}",` in MFA_FORMS, or name a class that extends it.'
            yield Error(f"MFA_FORMS lacks “{name}”.", hint=hint, id="tenancy.E012")
    if required != "off":
        yield from middleware(MFA_MIDDLEWARE, f"below {MIDDLEWARE[-1]}")


def included(resolver: URLResolver) -> Iterator[str]:
    """Yield the names of the modules that a URLconf includes, directly or not."""
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield getattr(pattern.urlconf_module, "__name__", "")
            yield from included(pattern)


def is_a(wanted: str, name: str) -> bool:
    """Return True if `name` is the dotted path of the wanted class or function, or a subclass's."""
    if name == wanted:
        return True
    try:
        classes = import_string(name), import_string(wanted)
    except ImportError:
        return False
    return all(isinstance(each, type) for each in classes) and issubclass(*classes)
