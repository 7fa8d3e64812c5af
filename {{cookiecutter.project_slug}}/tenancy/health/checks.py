"""What `manage.py check` finds besides: settings and code that would mix tenants up.

With `--database default` it also finds what `tenant_doctor` does.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.contrib.postgres.operations import CreateExtension
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.files.storage import FileSystemStorage
from django.db import router
from django.db.migrations import RunSQL, SeparateDatabaseAndState
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django_tenants.routers import TenantSyncRouter
from django_tenants.utils import get_tenant_database_alias
from tenant_users.permissions.backend import UserBackend

from tenancy.concrete import Domain, Organization, Tenant, User, added_fields, engine_model
from tenancy.health import doctor, manifest, requirements
from tenancy.health.requirements import MIDDLEWARE, is_a
from tenancy.isolation.media import TenantStorage
from tenancy.isolation.router import TenantRouter
from tenancy.isolation.signing import TenantSigner

ENGINE = "tenancy.database"
ROUTERS = [TenantRouter, TenantSyncRouter]
SHARED_ONLY = ["contenttypes", "sites"]  # Django remembers their rows for all tenants together
IN_BOTH = ["auth", "permissions", "sessions"]  # what a person may on one host is nothing on others
DECORATORS = {"schema_context", "tenant_context"}
RESTORE = "`manage.py upgrade_tenancy` with --force restores the engine."
MOVE = "The next upgrade would remove the change: move it to server/ (see docs/upgrade.md)."
DIFFERENCES = {"edited": MOVE, "added": MOVE, "missing": RESTORE}
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
        yield Warning(
            f"tenancy/{manifest.NAME} is missing, so edits of the engine can't be found.",
            hint=RESTORE,
            id="tenancy.W016",
        )
        return
    for kind, hint in DIFFERENCES.items():
        for name in getattr(changes, kind):
            yield Warning(f"tenancy/{name} is {kind}.", hint=hint, id="tenancy.W015")


@register("tenants")
def check_settings(**kwargs) -> Iterator[CheckMessage]:
    if getattr(settings, "SHOW_PUBLIC_IF_NO_TENANT_FOUND", False):
        yield Error(
            "SHOW_PUBLIC_IF_NO_TENANT_FOUND shows the public site, its admin too, at any host.",
            hint="Remove it.",
            id="tenancy.E001",
        )
    alias = get_tenant_database_alias()
    if settings.DATABASES[alias]["ENGINE"] != ENGINE:
        yield Error(
            f"DATABASES: the ENGINE of “{alias}” keeps no tenants apart as {ENGINE} does.",
            hint=f'Set it to "{ENGINE}", and ORIGINAL_BACKEND to what it was.',
            id="tenancy.E002",
        )
    for wanted in ROUTERS:
        if not any(isinstance(installed, wanted) for installed in router.routers):
            yield Error(
                f"DATABASE_ROUTERS lacks {path(wanted)}.", hint="Add it.", id="tenancy.E003"
            )
    if settings.SESSION_ENGINE.endswith("signed_cookies"):
        yield Error(
            "SESSION_ENGINE keeps sessions in cookies that are good at every tenant's host.",
            hint="Set it to “django.contrib.sessions.backends.db”.",
            id="tenancy.E010",
        )
    if not any(is_a(path(UserBackend), name) for name in settings.AUTHENTICATION_BACKENDS):
        yield Error(
            f"AUTHENTICATION_BACKENDS lacks {path(UserBackend)}, and so nobody has rights.",
            hint="Put it where Django's ModelBackend is.",
            id="tenancy.E004",
        )


@register("tenants")
def check_middleware(**kwargs) -> Iterator[CheckMessage]:
    order = [
        next((at for at, name in enumerate(settings.MIDDLEWARE) if is_a(wanted, name)), None)
        for wanted in MIDDLEWARE
    ]
    found = [at for at in order if at is not None]  # check_requirements names the missing ones
    if found != sorted(found):
        yield Error(
            f"MIDDLEWARE doesn't have these in this order: {', '.join(MIDDLEWARE)}.",
            hint="A session is read in the tenant's schema, and membership is that of a user.",
            id="tenancy.E005",
        )


@register("tenants")
def check_separation(**kwargs) -> Iterator[CheckMessage]:
    """Signatures, uploads and the cache keep tenants apart by a class or function of the engine."""
    if not is_a(path(TenantSigner), settings.SIGNING_BACKEND):
        yield Error(
            "SIGNING_BACKEND makes signatures that hold in every tenant.",
            hint=f"Name {path(TenantSigner)}, or a subclass.",
            id="tenancy.E021",
        )
    storage = settings.STORAGES["default"]["BACKEND"]
    if is_a(path(FileSystemStorage), storage) and not is_a(path(TenantStorage), storage):
        yield Error(
            "STORAGES: the default storage keeps the uploads of all tenants in one folder.",
            hint=f"Name {path(TenantStorage)}, or a subclass.",
            id="tenancy.E022",
        )
    if "KEY_FUNCTION" not in settings.CACHES["default"]:
        yield Error(
            "CACHES: the default cache has the same keys in every tenant.",
            hint="Set its KEY_FUNCTION to “django_tenants.cache.make_key”.",
            id="tenancy.E023",
        )


@register("tenants")
def check_models(**kwargs) -> Iterator[CheckMessage]:
    """The engine makes rows of the project's models, and copies them."""
    for model in (Organization, Tenant, Domain, User):
        for field in added_fields(model):
            if field.editable and not field.null and field.get_default() is None:
                yield Error(
                    "has no default, and the engine makes rows without it.",
                    hint="Give it a default, or null=True and blank=True.",
                    obj=field,
                    id="tenancy.E024",
                )
        known = {field.name for field in engine_model(model)._meta.local_many_to_many}
        for field in model._meta.many_to_many:
            if field.name not in known:
                yield Warning(
                    "is left out of clones and backups, and isn't given at provisioning.",
                    hint="Copy it in receivers of the signals, then silence this warning.",
                    obj=field,
                    id="tenancy.W025",
                )


@register("tenants")
def check_apps(**kwargs) -> Iterator[CheckMessage]:
    for label in filter(apps.app_configs.get, SHARED_ONLY):
        if is_in(settings.TENANT_APPS, label):
            yield Error(
                f"TENANT_APPS has {label}, whose ids would differ from tenant to tenant.",
                hint="Leave it in SHARED_APPS only.",
                id="tenancy.E006",
            )
    for label in filter(apps.app_configs.get, IN_BOTH):
        for name in ("SHARED_APPS", "TENANT_APPS"):
            if not is_in(getattr(settings, name), label):
                yield Error(
                    f"{name} lacks {label}: one site's rights or sessions would be another's.",
                    hint="Name it in SHARED_APPS and in TENANT_APPS.",
                    id="tenancy.E007",
                )


@register("tenants")
def check_decorators(**kwargs) -> Iterator[CheckMessage]:
    for file in own_files():
        for line, name in decorators(file.read_bytes()):
            yield Error(
                f"@{name} as a decorator mixes threads up and does nothing for async functions.",
                hint=f"Write “with {name}(…):” inside the function.",
                obj=f"{file.relative_to(settings.BASE_DIR)}:{line}",
                id="tenancy.E008",
            )


@register("tenants")
def check_migrations(**kwargs) -> Iterator[CheckMessage]:
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    for (label, name), migration in loader.disk_migrations.items():
        if is_in(settings.TENANT_APPS, label) and any(map(makes_extension, migration.operations)):
            yield Error(
                "makes an extension in the first tenant's schema: it goes when that tenant goes.",
                hint="Make it in a migration of an app that is in SHARED_APPS only.",
                obj=f"{label}.{name}",
                id="tenancy.E009",
            )


def path(wanted: type) -> str:
    return f"{wanted.__module__}.{wanted.__qualname__}"


def is_in(names: list[str], label: str) -> bool:
    """Whether a list of apps in the settings has the app with the label."""
    return TenantSyncRouter().app_in_list(label, names)


def own_files() -> Iterator[Path]:
    """Yield the Python files of the project and of its apps."""
    base = Path(settings.BASE_DIR)
    project = base / settings.ROOT_URLCONF.partition(".")[0]
    folders = {project, *(Path(app.path) for app in apps.get_app_configs())}
    own = (
        folder
        for folder in folders
        if folder.is_relative_to(base) and "site-packages" not in folder.parts
    )
    return iter(sorted({file for folder in own for file in folder.rglob("*.py")}))


def decorators(source: bytes) -> Iterator[tuple[int, str]]:
    """The lines of a Python file where a context of django-tenants is a decorator, and its name."""
    if not any(name.encode() in source for name in DECORATORS):
        return  # most files: parsing is what takes time
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return  # Python says so when it gets there
    nodes = list(ast.walk(tree))
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
        case RunSQL(sql=statements):  # each a text, or a text and its parameters
            texts = (one if isinstance(one, str) else one[0] for one in statements)
            return any(map(CREATE_EXTENSION.search, texts))
        case SeparateDatabaseAndState(database_operations=operations):
            return any(map(makes_extension, operations))
    return False
