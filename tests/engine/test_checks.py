"""No setting and no code that would mix tenants up passes `manage.py check`."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.postgres.operations import TrigramExtension
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.db import connection
from django.db.migrations import RunSQL, SeparateDatabaseAndState
from tenancy.health.checks import check_database, decorators, makes_extension
from tenant_users.permissions.backend import UserBackend


def ids(**kwargs):
    return [message.id for message in run_checks(tags=["tenants"], **kwargs)]


class OwnBackend(UserBackend):
    pass


class OwnAuthentication(AuthenticationMiddleware):
    pass


@pytest.mark.usefixtures("db")
def test_the_project_as_it_is_passes():
    assert run_checks(tags=["tenants", Tags.database], databases=["default"]) == []


def test_the_public_site_is_not_shown_at_any_host(settings):
    settings.SHOW_PUBLIC_IF_NO_TENANT_FOUND = True

    assert ids() == ["tenancy.E001"]


def test_no_other_backend_holds_the_tenants(settings, monkeypatch):
    monkeypatch.setitem(
        settings.DATABASES["default"], "ENGINE", "django_tenants.postgresql_backend"
    )

    assert ids() == ["tenancy.E002"]


@pytest.mark.parametrize("router", ["TenantRouter", "TenantSyncRouter"])
def test_no_router_is_forgotten(settings, router):
    settings.DATABASE_ROUTERS = [
        name for name in settings.DATABASE_ROUTERS if not name.endswith(f".{router}")
    ]

    assert ids() == ["tenancy.E003"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HAS_MULTI_TYPE_TENANTS", True),
        ("TENANT_TYPES", {"public": {}}),
        ("TENANT_SUBFOLDER_PREFIX", "clients"),
        ("CELERY_TASK_TENANT_DATABASES", ["default", "other"]),
        ("PUBLIC_SCHEMA_NAME", "main"),
    ],
)
def test_a_librarys_setting_without_effect_is_refused(settings, name, value):
    """R21: multi-type tenants ended in AttributeError, and TENANT_DATABASES in nothing at all."""
    setattr(settings, name, value)

    assert {"tenancy.E036"} <= {*ids()}


def test_a_librarys_setting_that_changes_nothing_is_accepted(settings):
    settings.HAS_MULTI_TYPE_TENANTS = settings.TENANT_LIMIT_SET_CALLS = False
    settings.PUBLIC_SCHEMA_NAME = "public"

    assert ids() == []


class ReplicaRouter:
    def db_for_read(self, model, **hints):
        return "replica"


def test_no_router_answers_before_the_guard(settings):
    """I4: a router above TenantRouter switched the guard off, and no check said so."""
    settings.DATABASE_ROUTERS = [f"{__name__}.ReplicaRouter", *settings.DATABASE_ROUTERS]
    assert ids() == ["tenancy.E033"]

    settings.DATABASE_ROUTERS = [*settings.DATABASE_ROUTERS[1:], f"{__name__}.ReplicaRouter"]
    assert ids() == []


def test_a_replica_follows_the_tenant_too(settings, monkeypatch):
    """I4: over a replica with Django's backend, all tenants' rows would be public's."""
    replica = settings.DATABASES["default"] | {"ENGINE": "django.db.backends.postgresql"}
    monkeypatch.setitem(settings.DATABASES, "replica", replica)
    assert ids() == ["tenancy.E002"]

    monkeypatch.setitem(settings.DATABASES, "replica", replica | {"NAME": "another"})
    assert ids() == []


def test_no_connection_is_a_pools(settings, monkeypatch):
    """Also not that of a replica, before or after the default database."""
    replica = settings.DATABASES["default"] | {"ENGINE": "tenancy.database"}
    for pooled in ("default", "replica"):
        monkeypatch.setitem(settings.DATABASES, "replica", replica)
        monkeypatch.setitem(settings.DATABASES, "default", replica)
        monkeypatch.setitem(
            settings.DATABASES, pooled, replica | {"OPTIONS": {"pool": {"max_size": 4}}}
        )
        assert ids() == ["tenancy.E035"]


@pytest.mark.parametrize(
    ("backend", "prefix", "found"),
    [
        ("django.core.cache.backends.redis.RedisCache", "", ["tenancy.W034"]),
        ("django.core.cache.backends.redis.RedisCache", "acme:", []),
        ("django.core.cache.backends.memcached.PyMemcacheCache", "", ["tenancy.W034"]),
        ("django.core.cache.backends.db.DatabaseCache", "", []),
    ],
)
def test_no_cache_has_another_projects_keys(settings, backend, prefix, found):
    limits = {"socket_connect_timeout": 2, "socket_timeout": 2}
    more = {"BACKEND": backend, "KEY_PREFIX": prefix, "LOCATION": "there", "OPTIONS": limits}
    settings.CACHES = settings.CACHES | {"more": more}

    assert ids() == found


def test_rights_are_not_looked_up_for_all_tenants_together(settings):
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert ids() == ["tenancy.E004"]

    settings.AUTHENTICATION_BACKENDS += [f"{__name__}.OwnBackend"]
    assert ids() == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"member": None}, "lacks the role “member”"),
        ({"owner": {}}, "can't define the role “owner”"),
        ({"clerk": {"superuser": True}}, "“clerk” has the unknown key “superuser”"),
        ({"clerk": {"permissions": ["view_note"]}}, "“view_note” is not of the form"),
        ({"clerk": {"permissions": "notes.view_note"}}, "“n” is not of the form"),
    ],
)
def test_no_role_is_misspelt(settings, changed, problem):
    roles = {**settings.TENANCY_ROLES, **changed}
    settings.TENANCY_ROLES = {name: role for name, role in roles.items() if role is not None}

    first = run_checks(tags=["tenants"])[0]
    assert first.id == "tenancy.E028"
    assert problem in first.msg


@pytest.mark.parametrize(
    ("moved", "to"),
    [
        *(("TenantMiddleware", -1), ("MembershipMiddleware", 0), ("SessionMiddleware", 0)),
        *(("AuthenticationMiddleware", 0), ("TenantMiddleware", None)),
        *(("MembershipMiddleware", None), ("SessionMiddleware", None)),
    ],
)
def test_no_middleware_comes_too_late(settings, moved, to):
    (name,) = (name for name in settings.MIDDLEWARE if name.endswith(f".{moved}"))
    settings.MIDDLEWARE = [other for other in settings.MIDDLEWARE if other != name]
    if to is not None:
        settings.MIDDLEWARE.insert(to % (len(settings.MIDDLEWARE) + 1), name)

    assert ids() == ["tenancy.E005"]


@pytest.mark.parametrize("name", ["security.SecurityMiddleware", "locale.LocaleMiddleware"])
def test_nothing_asks_for_a_host_before_it_is_found(settings, name):
    name = f"django.middleware.{name}"
    settings.MIDDLEWARE = [name, *(other for other in settings.MIDDLEWARE if other != name)]

    assert ids() == ["tenancy.E037"]


def test_a_middleware_of_ones_own_will_do(settings):
    settings.MIDDLEWARE = [
        f"{__name__}.OwnAuthentication" if name.endswith(".AuthenticationMiddleware") else name
        for name in settings.MIDDLEWARE
    ]

    assert ids() == []


@pytest.mark.parametrize(
    "app",
    [
        "django.contrib.contenttypes",
        "django.contrib.contenttypes.apps.ContentTypesConfig",
        "django.contrib.sites",
    ],
)
def test_no_ids_differ_from_tenant_to_tenant(settings, app):
    if app not in settings.INSTALLED_APPS and not app.endswith("Config"):
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, app]
    settings.TENANT_APPS = [*settings.TENANT_APPS, app]

    assert ids() == ["tenancy.E006"]


@pytest.mark.parametrize("names", ["SHARED_APPS", "TENANT_APPS"])
@pytest.mark.parametrize(
    "app", ["django.contrib.auth", "django.contrib.sessions", "tenant_users.permissions"]
)
def test_sessions_and_rights_are_not_shared(settings, app, names):
    setattr(settings, names, [name for name in getattr(settings, names) if name != app])

    assert ids() == ["tenancy.E007"]


@pytest.mark.parametrize(
    "source",
    [
        "from django_tenants.utils import tenant_context\n@tenant_context(t)\ndef f(): pass",
        "from django_tenants.utils import schema_context\n@schema_context('x')\ndef f(): pass",
        "from django_tenants.utils import tenant_context as tc\n@tc(t)\nasync def f(): pass",
        "from django_tenants import utils\n@utils.schema_context('x')\nclass C: pass",
        "import django_tenants.utils\n@django_tenants.utils.tenant_context(t)\ndef f(): pass",
        "class C:\n  @tenant_context(t)\n  def f(self): pass\n  from x import tenant_context",
    ],
)
def test_no_context_is_a_decorator(source):
    assert [line for line, _ in decorators(source.encode())] == [2]


@pytest.mark.parametrize(
    "source",
    [
        b"from django_tenants.utils import tenant_context\nwith tenant_context(t): pass",
        b"def schema_context(): pass\n@schema_context()\ndef f(): pass",
        b"@tenant_context(",
        b"# tenant_context\0",
        b"# tenant_context\xff",
        b"",
    ],
)
def test_other_code_passes(source):
    assert [*decorators(source)] == []


def test_the_code_of_the_project_is_looked_at_and_no_other(settings, tmp_path, monkeypatch):
    code = "from django_tenants.utils import tenant_context\n\n@tenant_context(1)\ndef f(): pass\n"
    installed = tmp_path / ".venv" / "lib" / "site-packages"
    for file in ("server/jobs.py", "server/a/b.py", "shop/tasks.py", "scripts/x.py"):
        write(tmp_path / file, code)
    write(installed / "bought" / "tasks.py", code)
    for app, folder in (("shop", tmp_path), ("bought", installed)):
        write(folder / app / "__init__.py")
        monkeypatch.syspath_prepend(folder)
    settings.BASE_DIR = tmp_path
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "shop", "bought"]

    found = run_checks(tags=["tenants"])

    assert {message.id for message in found} == {"tenancy.E008"}
    assert [message.obj for message in found] == [
        f"{file}:3" for file in ("server/a/b.py", "server/jobs.py", "shop/tasks.py")
    ]


def write(file: Path, text=""):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    "operation",
    [
        TrigramExtension(),
        RunSQL("SET x = 1; create  extension\nIF NOT EXISTS hstore"),
        RunSQL(["SELECT 1", ("CREATE\nEXTENSION %s", ["hstore"])]),
        SeparateDatabaseAndState([SeparateDatabaseAndState([TrigramExtension()])]),
    ],
)
def test_no_extension_escapes(operation):
    assert makes_extension(operation)


@pytest.mark.parametrize(
    "operation",
    [
        RunSQL("CREATE TABLE extension ()"),
        RunSQL(RunSQL.noop, "CREATE EXTENSION hstore"),
        RunSQL([]),
        SeparateDatabaseAndState(state_operations=[TrigramExtension()]),
    ],
)
def test_other_operations_pass(operation):
    assert not makes_extension(operation)


def test_no_migration_of_a_tenants_app_makes_an_extension(settings, tmp_path, monkeypatch):
    write(tmp_path / "extensions" / "__init__.py")
    write(
        tmp_path / "extensions" / "0001_trigrams.py",
        "from django.contrib.postgres.operations import TrigramExtension\n"
        "from django.db import migrations\n"
        "class Migration(migrations.Migration):\n"
        "    operations = [TrigramExtension()]\n",
    )
    monkeypatch.syspath_prepend(tmp_path)

    settings.MIGRATION_MODULES = {"users": "extensions"}
    assert ids() == []

    settings.MIGRATION_MODULES = {"notes": "extensions", "auth": "extensions"}
    found = run_checks(tags=["tenants"])
    assert {message.id for message in found} == {"tenancy.E009"}
    assert {message.obj for message in found} == {"notes.0001_trigrams", "auth.0001_trigrams"}


def test_a_missing_table_is_found_when_the_database_is_asked_for(tenant):
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE notes_note")

    found = run_checks(tags=[Tags.database], databases=["default"])

    assert [(message.obj, message.id) for message in found] == [
        (tenant.schema_name, "tenancy.E105")
    ]
    assert [*check_database(databases=[])] == []


def test_a_missing_table_does_not_stop_the_migration_that_makes_it(tenant):
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE notes_note; DELETE FROM django_migrations WHERE app = 'notes'")

    call_command("migrate_schemas", schema_name=tenant.schema_name, skip_checks=False, verbosity=0)

    assert run_checks(tags=[Tags.database], databases=["default"]) == []


def test_sessions_that_every_host_believes_are_refused(settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"

    assert ids() == ["tenancy.E010"]


def test_a_malformed_rate_is_named(settings):
    settings.TENANCY_RATES = {"sign-in": "ten a day", "export": "3/1h", "invitation": None}

    assert ids() == ["tenancy.E029"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TENANCY_HISTORY", {"send invoice": "%(who)s sent it."}),
        ("TENANCY_HISTORY", {"send invoice": "100 %"}),
        ("TENANCY_HISTORY_DAYS", 0),
        ("TENANCY_HISTORY_DAYS", "365"),
    ],
)
def test_a_history_that_cant_be_told_is_named(settings, name, value):
    settings.TENANCY_HISTORY = {"look": None, "send": "%(by)s sent %(after)s to %(person)s."}
    assert ids() == []
    setattr(settings, name, value)
    assert ids() == ["tenancy.E049"]


@pytest.mark.parametrize("limits", [{"seats": -1}, {"seats": "5"}, {"seats": True}, 5])
def test_a_malformed_limit_of_a_plan_is_named(settings, limits):
    settings.TENANCY_LIMITS = {"free": limits, "team": {"seats": 0, "notes": None}}
    assert ids() == ["tenancy.E047"]


def test_a_plan_without_limits_is_named(settings):
    settings.TENANCY_LIMITS = {"free": {}}
    assert ids() == ["tenancy.E048"]


def test_a_proxy_has_to_tell_addresses(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert "tenancy.W030" in ids(include_deployment_checks=True)

    settings.TRUSTED_PROXIES = 1
    assert "tenancy.W030" not in ids(include_deployment_checks=True)


def test_a_process_imports_no_checks_before_they_run():
    """Nor what takes as long, and is needed for them alone."""
    start = "from django.core.wsgi import get_wsgi_application; get_wsgi_application()"
    slow = {
        "tenancy.health.checks",
        "tenancy.background.checks",
        "tenancy.fleet",
        "dns",
        "marshmallow",
    }
    command = [sys.executable, "-c", f"{start}; import sys; print(*sys.modules)"]
    said = subprocess.run(
        command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    ).stdout.split()

    assert "django.core.checks" in said
    assert not slow & {*said}
