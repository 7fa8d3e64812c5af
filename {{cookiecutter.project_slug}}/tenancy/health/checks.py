"""System checks for settings and code that would mix tenants up.

`manage.py check --database default` also runs `tenant_doctor`.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.contrib.admin.sites import all_sites
from django.contrib.postgres.operations import CreateExtension
from django.core.cache.backends.redis import RedisCache
from django.core.checks import CheckMessage, Tags
from django.core.exceptions import FieldDoesNotExist
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import router
from django.db.migrations import RunSQL, SeparateDatabaseAndState
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django_tenants.routers import TenantSyncRouter
from django_tenants.utils import get_tenant_database_alias
from tenant_users.permissions.backend import UserBackend

from tenancy import history, limits, outbox, roles
from tenancy.concrete import Domain, Organization, Tenant, User, added_fields, engine_model
from tenancy.copies.omissions import EXCLUDE, INCLUDE, named
from tenancy.copies.places import place_of
from tenancy.database import replica
from tenancy.exceptions import CopyError, one_line
from tenancy.health import doctor, library_settings, manifest, requirements
from tenancy.health.findings import finding
from tenancy.health.lazy import register
from tenancy.health.requirements import MIDDLEWARE, is_a
from tenancy.isolation.admin_site import HostSite
from tenancy.isolation.media import TenantStorage
from tenancy.isolation.router import TenantRouter
from tenancy.isolation.signing import TenantSigner
from tenancy.schemas import spares
from tenancy.schemas.private_files import private_root

ROUTERS = [TenantRouter, TenantSyncRouter]
SHARED_ONLY = ["contenttypes", "sites"]  # Django caches their rows for all tenants together
IN_BOTH = ["auth", "permissions", "sessions"]
ROLE_KEYS = {"label", "description", "is_staff", "is_superuser", "permissions"}
SEND_MAIL = {outbox.SMTP, "tenancy.outbox.EmailBackend", "tenancy.background.mail.EmailBackend"}
# Caches that no other project has: in the process, in this project's database or folder.
OWN_CACHES = tuple(
    f"django.core.cache.backends.{name}" for name in ("locmem", "dummy", "db", "filebased")
)
# They neither ask for the host, nor redirect, nor render a link.
ABOVE_TENANT = (
    "tenancy.health.probes.ProbesMiddleware",
    "tenancy.requests.request_id.RequestIdMiddleware",
    "tenancy.requests.headers.HeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
)
DECORATORS = {"schema_context", "tenant_context"}
CREATE_EXTENSION = re.compile(r"\bCREATE\s+EXTENSION\b", re.IGNORECASE)


@register(Tags.database)
def check_database(databases=None, **kwargs) -> Iterable[CheckMessage]:
    return doctor.examine() if get_tenant_database_alias() in (databases or ()) else []


@register("tenants")
def check_requirements(**kwargs) -> Iterator[CheckMessage]:
    return requirements.missing()


@register("tenants")
def check_engine(**kwargs) -> Iterator[CheckMessage]:
    changes = manifest.changes()
    if changes is None:
        message = f"tenancy/{manifest.NAME} is missing, so edits of the engine can't be found."
        yield finding("W016", message)
        return
    for kind, names in changes._asdict().items():
        for name in names:
            yield finding("W015", f"tenancy/{name} is {kind}.")


@register("tenants")
def check_settings(**kwargs) -> Iterator[CheckMessage]:
    if getattr(settings, "SHOW_PUBLIC_IF_NO_TENANT_FOUND", False):
        name = "SHOW_PUBLIC_IF_NO_TENANT_FOUND"
        yield finding("E001", f"{name} shows the public site and its admin at any host.")
    for alias in aliases_of_tenants():
        if settings.DATABASES[alias]["ENGINE"] not in ("tenancy.database", replica.ENGINE):
            message = f"DATABASES: the ENGINE of “{alias}” doesn't isolate the tenants."
            yield finding("E002", message)
        if settings.DATABASES[alias].get("OPTIONS", {}).get("pool"):
            message = "each use of a pool's connection leaves a listener behind"
            yield finding("E035", f"DATABASES: the OPTIONS of “{alias}” have “pool”: {message}.")
    for wanted in ROUTERS:
        if not any(isinstance(installed, wanted) for installed in router.routers):
            yield finding("E003", f"DATABASE_ROUTERS lacks {path(wanted)}.")
    installed = [path(type(each)) for each in router.routers]
    if path(TenantRouter) in installed[1:]:
        yield finding("E033", f"DATABASE_ROUTERS has {installed[0]} above {path(TenantRouter)}.")
    if not any(is_a(path(UserBackend), name) for name in settings.AUTHENTICATION_BACKENDS):
        lacking = f"AUTHENTICATION_BACKENDS lacks {path(UserBackend)}"
        yield finding("E004", f"{lacking}: nobody has any rights.")
    if settings.SESSION_ENGINE.endswith("signed_cookies"):
        yield finding("E010", "SESSION_ENGINE makes sessions valid at every tenant's host.")


@register("tenants")
def check_library_settings(**kwargs) -> Iterator[CheckMessage]:
    for message, reason in library_settings.refused():
        yield finding("E036", message, reason=reason)


@register("tenants")
def check_roles(**kwargs) -> Iterator[CheckMessage]:
    """A mistake in TENANCY_ROLES would otherwise fail, or be ignored, when a right is checked."""
    for name in (roles.ADMIN, roles.MEMBER):
        if name not in settings.TENANCY_ROLES:
            yield finding("E028", f"TENANCY_ROLES lacks the role “{name}”.")
    if roles.OWNER in settings.TENANCY_ROLES:
        yield finding("E028", f"TENANCY_ROLES can't define the role “{roles.OWNER}”.")
    for name, role in settings.TENANCY_ROLES.items():
        for key in role.keys() - ROLE_KEYS:
            yield finding("E028", f"TENANCY_ROLES: “{name}” has the unknown key “{key}”.")
        for permission in role.get("permissions", ()):
            if "." not in permission:
                problem = f"“{permission}” is not of the form app_label.codename"
                yield finding("E028", f"TENANCY_ROLES: “{name}”: {problem}.")


@register("tenants")
def check_rates(**kwargs) -> Iterator[CheckMessage]:
    for name, rate in getattr(settings, "TENANCY_RATES", {}).items():
        if rate is not None and not (isinstance(rate, str) and limits.RATE.fullmatch(rate)):
            yield finding("E029", f"TENANCY_RATES: “{rate}” is no rate for “{name}”.")


@register("tenants")
def check_history(**kwargs) -> Iterator[CheckMessage]:
    values = dict.fromkeys(("by", "person", "before", "after"), "")
    for action, sentence in getattr(settings, "TENANCY_HISTORY", {}).items():
        try:
            str(sentence or "") % values
        except (KeyError, TypeError, ValueError) as error:
            message = f"TENANCY_HISTORY: the sentence for “{action}” has a mistake ({error})."
            yield finding("E049", message)
    days = getattr(settings, "TENANCY_HISTORY_DAYS", history.DAYS)
    if type(days) is not int or days < 1:
        yield finding("E049", f"TENANCY_HISTORY_DAYS: {days!r} is no number of days.")


@register("tenants")
def check_spares(**kwargs) -> Iterator[CheckMessage]:
    number = spares.wanted()
    if type(number) is not int or number < 0:
        yield finding("E052", f"SPARE_SCHEMAS: {number!r} is no number of schemas.")


@register("tenants")
def check_limits(**kwargs) -> Iterator[CheckMessage]:
    plans = getattr(settings, "TENANCY_LIMITS", {})
    for plan, numbers in plans.items():
        if not isinstance(numbers, dict):
            yield finding("E047", f"TENANCY_LIMITS: {numbers!r} has no limits for “{plan}”.")
            continue
        for name, most in numbers.items():
            if most is not None and (type(most) is not int or most < 0):
                message = f"TENANCY_LIMITS: {most!r} is no limit of “{name}” in “{plan}”."
                yield finding("E047", message)
    field = next((field for field in added_fields(Tenant) if field.name == "plan"), None)
    for plan in dict(field.flatchoices) if field and plans else ():
        if plan not in plans:
            yield finding("E048", f"TENANCY_LIMITS lacks the plan “{plan}”.", field)


@register("tenants", deploy=True)
def check_proxies(**kwargs) -> Iterator[CheckMessage]:
    if settings.SECURE_PROXY_SSL_HEADER and not getattr(settings, "TRUSTED_PROXIES", 0):
        yield finding("W030", "A proxy is trusted to tell the scheme, but none to tell addresses.")


@register("tenants")
def check_time_limits(**kwargs) -> Iterator[CheckMessage]:
    """A server that takes a connection and says nothing would stop the process."""
    if settings.EMAIL_TIMEOUT is None and settings.EMAIL_BACKEND in SEND_MAIL:
        yield finding("W031", "EMAIL_TIMEOUT is not set: a silent mail server has no end.")
    for alias, cache in settings.CACHES.items():
        options = cache.get("OPTIONS", {})
        for name in ("socket_connect_timeout", "socket_timeout"):
            if is_a(path(RedisCache), cache["BACKEND"]) and not options.get(name):
                yield finding("W031", f"CACHES: “{alias}” has no {name} in its OPTIONS.")


@register("tenants")
def check_middleware(**kwargs) -> Iterator[CheckMessage]:
    order = [
        next((at for at, name in enumerate(settings.MIDDLEWARE) if is_a(wanted, name)), None)
        for wanted in MIDDLEWARE
    ]
    found = [at for at in order if at is not None]  # check_requirements names the missing ones
    if found != sorted(found):
        names = ", ".join(MIDDLEWARE)
        yield finding("E005", f"MIDDLEWARE doesn't have these in this order: {names}.")
    elif order[0] is not None:
        for name in settings.MIDDLEWARE[: order[0]]:
            if not any(is_a(wanted, name) for wanted in ABOVE_TENANT):
                yield finding("E037", f"MIDDLEWARE has {name} above {MIDDLEWARE[0]}.")


@register("tenants")
def check_separation(**kwargs) -> Iterator[CheckMessage]:
    """The engine's classes keep signatures, uploads and the cache of tenants apart."""
    if not is_a(path(TenantSigner), settings.SIGNING_BACKEND):
        yield finding("E021", "SIGNING_BACKEND makes signatures that are valid in every tenant.")
    storage = settings.STORAGES["default"]["BACKEND"]
    if is_a(path(FileSystemStorage), storage) and not is_a(path(TenantStorage), storage):
        yield finding("E022", "STORAGES: the tenants' uploads are in one folder.")
    if "KEY_FUNCTION" not in settings.CACHES["default"]:
        yield finding("E023", "CACHES: the default cache has the same keys in every tenant.")
    for alias, cache in settings.CACHES.items():
        if not cache["BACKEND"].startswith(OWN_CACHES) and not cache.get("KEY_PREFIX"):
            message = f"CACHES: another project has the same keys as “{alias}” in the same server."
            yield finding("W034", message)


@register("tenants", deploy=True)
def check_object_storage(**kwargs) -> Iterator[CheckMessage]:
    """The bucket of UPLOADS_URL is there, and open to its key."""
    fault = getattr(default_storage, "fault", str)()
    if fault:
        yield finding("E050", f"UPLOADS_URL: {' '.join(fault.split())}")


@register("tenants", deploy=True)
def check_backups(**kwargs) -> Iterator[CheckMessage]:
    if url := getattr(settings, "BACKUPS_URL", ""):
        try:
            place_of(url)
        except CopyError as error:
            yield finding("E051", one_line(error))


@register("tenants")
def check_exports(**kwargs) -> Iterator[CheckMessage]:
    """Exports have what nobody but the owner may get, and go without what lets people in."""
    for name in ("MEDIA_ROOT", "STATIC_ROOT"):
        public = getattr(settings, name, None)
        if public and private_root().is_relative_to(Path(public).absolute()):
            yield finding("E045", f"PRIVATE_ROOT is in {name}, from which files are sent.")
    for name in (EXCLUDE, INCLUDE):
        try:
            named(name)
        except (LookupError, ValueError, FieldDoesNotExist) as error:
            yield finding("E044", f"{name}: {one_line(error)}.".replace("..", "."))


@register("tenants")
def check_models(**kwargs) -> Iterator[CheckMessage]:
    """The engine makes rows of the project's models, and relies on their constraints."""
    for model in (Organization, Tenant, Domain, User):
        base = engine_model(model)
        names = {"app_label": model._meta.app_label, "class": model._meta.model_name}
        wanted = {constraint.name % names for constraint in base._meta.constraints}
        if not wanted <= {constraint.name for constraint in model._meta.constraints}:
            message = f"lacks constraints of {path(base)}: {', '.join(sorted(wanted))}."
            yield finding("E026", message, model, base=base.__name__)
        for name, manager in base._meta.managers_map.items():
            if not isinstance(model._meta.managers_map.get(name), type(manager)):
                message = (
                    f"has another manager “{name}” than {path(base)}, which protects its rows."
                )
                yield finding("E027", message, model)
        for field in added_fields(model):
            if field.editable and not field.null and field.get_default() is None:
                yield finding(
                    "E024", "has no default, and the engine makes rows without it.", field
                )
        known = {field.name for field in base._meta.local_many_to_many}
        for field in model._meta.many_to_many:
            if field.name not in known:
                message = "is left out of clones and backups, and isn't set by provisioning."
                yield finding("W025", message, field)


@register("tenants")
def check_apps(**kwargs) -> Iterator[CheckMessage]:
    for label in filter(apps.app_configs.get, SHARED_ONLY):
        if is_in(settings.TENANT_APPS, label):
            yield finding("E006", f"TENANT_APPS has {label}: its ids would differ between tenants.")
    for label in filter(apps.app_configs.get, IN_BOTH):
        for name in ("SHARED_APPS", "TENANT_APPS"):
            if not is_in(getattr(settings, name), label):
                yield finding("E007", f"{name} lacks {label}, which the sites would then share.")


@register("tenants")
def check_admin(**kwargs) -> Iterator[CheckMessage]:
    sites = [site for site in all_sites if isinstance(site, HostSite)]
    for model in sorted({model for site in sites for model in site.registered}, key=str):
        if not any(site.has(model) for site in sites):
            yield finding("W032", "is registered in the admin, and shown at no host.", model)


@register("tenants")
def check_decorators(**kwargs) -> Iterator[CheckMessage]:
    for file in project_files():
        for line, name in decorators(file.read_bytes()):
            message = f"@{name} is not thread-safe as a decorator, and ignores async functions."
            yield finding("E008", message, f"{file.relative_to(settings.BASE_DIR)}:{line}")


@register("tenants")
def check_migrations(**kwargs) -> Iterator[CheckMessage]:
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    for (label, name), migration in loader.disk_migrations.items():
        if is_in(settings.TENANT_APPS, label) and any(map(makes_extension, migration.operations)):
            message = "creates an extension in a tenant's schema, and loses it with that tenant."
            yield finding("E009", message, f"{label}.{name}")


def aliases_of_tenants() -> Iterator[str]:
    """Yield the aliases of the tenants' database and of what has its name, such as a replica."""
    name = settings.DATABASES[get_tenant_database_alias()].get("NAME")
    for alias, database in settings.DATABASES.items():
        if database.get("NAME") == name:
            yield alias


def path(wanted: type) -> str:
    return f"{wanted.__module__}.{wanted.__qualname__}"


def is_in(names: list[str], label: str) -> bool:
    """Return whether a list of apps in the settings has the app with the label."""
    return TenantSyncRouter().app_in_list(label, names)


def project_files() -> list[Path]:
    """Return the Python files of the project and its apps, without installed packages."""
    base = Path(settings.BASE_DIR)
    project = base / settings.ROOT_URLCONF.partition(".")[0]
    folders = {project, *(Path(app.path) for app in apps.get_app_configs())}
    return sorted(
        {
            file
            for folder in folders
            if folder.is_relative_to(base) and "site-packages" not in folder.parts
            for file in folder.rglob("*.py")
        }
    )


def decorators(source: bytes) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each context of django-tenants that is used as a decorator."""
    if not any(name.encode() in source for name in DECORATORS):
        return  # parsing is slow, and few files need it
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return  # importing the file reports it
    imported = {
        alias.asname or alias.name: alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in DECORATORS
    }
    for node in nodes:
        for decorator in getattr(node, "decorator_list", ()):
            match decorator.func if isinstance(decorator, ast.Call) else decorator:
                case ast.Attribute(attr=name) if name in DECORATORS:
                    yield decorator.lineno, name
                case ast.Name(id=name) if name in imported:
                    yield decorator.lineno, imported[name]


def makes_extension(operation: Operation) -> bool:
    match operation:
        case CreateExtension():
            return True
        case RunSQL(sql=str(sql)):
            return bool(CREATE_EXTENSION.search(sql))
        case RunSQL(sql=statements):  # each is a string, or a string and its parameters
            texts = (one if isinstance(one, str) else one[0] for one in statements)
            return any(map(CREATE_EXTENSION.search, texts))
        case SeparateDatabaseAndState(database_operations=operations):
            return any(map(makes_extension, operations))
    return False
