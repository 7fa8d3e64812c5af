"""A schema has another name, and whoever holds the old one gets nothing from anywhere else."""

import pytest
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import OperationalError, ProgrammingError, connection, transaction
from django.test import Client
from django_tenants.utils import schema_context, schema_exists
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.exceptions import IllegalTransition, InvalidSchemaName, LifecycleError, SchemaNameTaken
from tenancy.health import doctor
from tenancy.lifecycle import schema_names
from tenancy.lifecycle.schema_names import rename_schema
from tenancy.models import TenantEvent
from tenancy.schemas.uploads import uploads_of

from engine.copies import execute
from engine.processes import start

NEW = "first_00000000"


@pytest.fixture
def suspended(tenant):
    """The tenant, with a note and an upload, seen from the public schema."""
    Note.objects.create(text="kept", author_id=tenant.owner_id)
    default_storage.save("kept.txt", ContentFile(b"kept"))
    connection.set_schema_to_public()
    yield lifecycle.suspend(tenant, "ada")
    for folder in uploads_of("x").path.parent.glob("first_*"):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def now():
    return Tenant.objects.get(slug="first")


def test_everything_is_there_under_the_new_name(suspended):
    old = suspended.schema_name

    assert rename_schema(suspended, "ada", NEW).schema_name == NEW

    lifecycle.resume(suspended, "ada")
    with now():
        assert connection.schema_name == NEW
        assert Note.objects.get().text == "kept"
        assert default_storage.open("kept.txt").read() == b"kept"
    assert not uploads_of(old).path.exists()
    assert Client().get("/", headers={"host": "first.localhost"}).status_code == 200
    change = TenantEvent.objects.get(action="rename schema")
    assert (change.by, change.schema_name, change.before, change.after) == ("ada", old, old, NEW)
    assert [*doctor.examine()] == []


def test_a_name_is_made_of_the_slug(suspended):
    renamed = rename_schema(suspended, "ada").schema_name

    assert renamed.startswith("first_")
    assert renamed != suspended.schema_name


STATEMENTS = [
    "SELECT * FROM django_session",
    "INSERT INTO django_session (session_key) VALUES ('x')",
    "UPDATE auth_group SET name = 'x'",
    "DELETE FROM auth_group",
    "TRUNCATE django_session",
    "SELECT * FROM notes_note",
]


@pytest.mark.parametrize("sql", STATEMENTS)
def test_whoever_holds_the_old_name_gets_an_error(suspended, sql):
    in_between = schema_context(suspended.schema_name)
    with in_between, connection.cursor() as cursor:
        rename_schema(suspended, "ada", NEW)
        with pytest.raises(ProgrammingError), transaction.atomic():
            cursor.execute(sql)
    with suspended, connection.cursor() as cursor, pytest.raises(ProgrammingError):
        cursor.execute(sql)


@pytest.mark.usefixtures("committed_db")
def test_another_process_that_is_in_the_tenant_gets_an_error():
    lifecycle.provision_tenant("Worker", "worker", "First Organization", "admin")
    tenant = Tenant.objects.get(slug="worker")
    old = tenant.schema_name
    try:
        process = start("""
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone
from server.tenants.models import Tenant
def write(key):
    try:
        Session.objects.create(session_key=key, expire_date=timezone.now())
        print("written")
    except Exception as error:
        print(type(error).__name__, str(error).splitlines()[0])
with Tenant.objects.get(slug="worker"):
    with transaction.atomic():
        write("a")
        input(print("ready", flush=True))
        write("b")
    write("c")
""")
        assert process.stdout.readline() == "written\n"
        assert process.stdout.readline() == "ready\n"
        lifecycle.suspend(tenant, "ada")
        renamed = rename_schema(tenant, "ada")
        out, _ = process.communicate("\n", timeout=60)

        said = {'cannot open relation "django_session"', '"django_session" is a composite type'}
        assert out.splitlines()[-1] in {f"ProgrammingError {one}" for one in said}  # newer, older
        assert not Session.objects.filter(session_key__in="abc").exists()
        with renamed:
            # In the transaction, PostgreSQL may go on with the table that it has locked: this one.
            keys = {*Session.objects.values_list("session_key", flat=True)}
            assert keys in ({"a", "b"}, set())
    finally:
        lifecycle.purge(lifecycle.delete(tenant, "ada"), "ada", now=True)
        execute(f'DROP SCHEMA "{old}" CASCADE')


@pytest.mark.parametrize(
    "name",
    [
        *("first", "first_0000000", "first_0000000g", "FIRST_00000000", "pg_00000000", "public"),
        *("../x_00000000", "a b_00000000", "x'; DROP SCHEMA public; --_00000000", "é_00000000"),
        *(
            "a" * 55 + "_00000000",
            "a" * 10_000 + "_00000000",
            "first_00000000\n",
            "first\0_00000000",
        ),
    ],
)
def test_an_impossible_name_is_refused(suspended, name):
    with pytest.raises(InvalidSchemaName, match="A schema's name is a slug, “_” and eight"):
        rename_schema(suspended, "ada", name)
    assert now().schema_name == suspended.schema_name


def test_a_name_that_was_ever_used_is_refused(suspended, other_tenant):
    TenantEvent.objects.create(
        action="purge", slug="gone", schema_name="gone_00000000", before="purging", after="purged"
    )
    with connection.cursor() as cursor:
        cursor.execute('CREATE SCHEMA "left_00000000"')
    uploads_of("files_00000000").path.mkdir(parents=True)
    rename_schema(suspended, "ada", NEW)
    used = [suspended.schema_name, NEW, other_tenant.schema_name, "gone_00000000"]
    for name in [*used, "left_00000000", "files_00000000"]:
        if name == NEW:
            continue  # that is the same call again
        with pytest.raises(SchemaNameTaken, match=f"“{name}” is or was in use"):
            rename_schema(suspended, "ada", name)
    uploads_of("files_00000000").path.rmdir()
    assert now().schema_name == NEW


def test_only_a_suspended_tenant_is_renamed(tenant, public):
    with pytest.raises(
        IllegalTransition, match="Can't rename schema “first”: it is active, not susp"
    ):
        rename_schema(tenant, "ada", NEW)
    with pytest.raises(IllegalTransition, match="it is the main website"):
        rename_schema(public, "ada", NEW)


def test_what_was_interrupted_the_same_call_finishes(suspended, monkeypatch):
    old = suspended.schema_name
    with monkeypatch.context() as patch:  # as if it was killed after the commit
        patch.setattr(schema_names, "move_uploads", lambda *_: None)
        rename_schema(suspended, "ada", NEW)
    assert now().schema_name == NEW
    assert uploads_of(old).path.exists()

    call_command("rename_schema", rename_from=old, rename_to=NEW)
    with now():
        assert default_storage.open("kept.txt").read() == b"kept"
    assert TenantEvent.objects.filter(action="rename schema").count() == 1


def test_purging_removes_what_was_interrupted(suspended, monkeypatch):
    folder = uploads_of(suspended.schema_name).path
    with monkeypatch.context() as patch:  # as if it was killed after the commit
        patch.setattr(schema_names, "move_uploads", lambda *_: None)
        rename_schema(suspended, "ada", NEW)
    assert folder.exists()

    lifecycle.delete(suspended, "ada")
    lifecycle.purge(suspended, "ada", now=True)

    assert not folder.exists()


def test_uploads_that_are_in_the_way_are_not_overwritten(suspended, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(schema_names, "move_uploads", lambda *_: None)
        rename_schema(suspended, "ada", NEW)
    with now():
        default_storage.save("kept.txt", ContentFile(b"new"))

    with pytest.raises(LifecycleError, match="put them together by hand"):
        rename_schema(suspended, "ada", NEW)
    with now():
        assert default_storage.open("kept.txt").read() == b"new"


@pytest.mark.parametrize(
    "text",
    ["AS 'SELECT count(*) FROM {}.notes_note'", "SET search_path = {} AS 'SELECT 1::bigint'"],
)
def test_a_function_that_names_the_schema_is_in_the_way(suspended, text):
    own = suspended.schema_name
    execute(f"CREATE FUNCTION {own}.f() RETURNS bigint LANGUAGE sql {text.format(own)}")

    with pytest.raises(LifecycleError, match=f"The text of these functions contains {own}: f"):
        rename_schema(suspended, "ada", NEW)
    assert now().schema_name == own


def test_a_migration_that_runs_comes_first(suspended):
    other = connection.copy()
    try:
        with other.cursor() as migration, connection.cursor() as cursor:
            lock = f'BEGIN; LOCK TABLE "{suspended.schema_name}".django_migrations'
            migration.execute(f"{lock} IN SHARE ROW EXCLUSIVE MODE")
            cursor.execute("SET LOCAL lock_timeout = 50")
            with pytest.raises(OperationalError, match="lock timeout"):
                rename_schema(suspended, "ada", NEW)
    finally:
        other.close()
    assert now().schema_name == suspended.schema_name
    assert not schema_exists(NEW)
    assert not TenantEvent.objects.filter(action="rename schema").exists()


def test_the_command_asks_nothing(suspended, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)

    call_command("rename_schema", "--rename_from", suspended.schema_name, "--rename_to", NEW)
    assert capsys.readouterr().out == f"{NEW}\n"
    call_command("rename_schema", "first", "--by", "ada")
    assert capsys.readouterr().out == f"{now().schema_name}\n"
    assert TenantEvent.objects.get(before=NEW).by == "ada"
