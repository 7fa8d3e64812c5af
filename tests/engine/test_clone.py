"""A clone is its source at one moment in all but the name, and independent of it."""

import os
import threading
from contextlib import ExitStack, contextmanager

import pytest
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django.test import RequestFactory
from django_tenants.utils import quote_schema_name
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy import copies, lifecycle
from tenancy.copies import clone, consistent
from tenancy.exceptions import CopyError, IllegalTransition, SlugTaken
from tenancy.fleet import recording
from tenancy.lifecycle import provisioning
from tenancy.models import TenantEvent
from tenancy.people import keys, members
from tenancy.schemas import blueprint, dump
from tenancy.schemas.dump import rename
from tenancy.schemas.uploads import uploads_of
from tenancy.testing import TenantClient
from tenant_users.permissions.models import UserTenantPermissions

from engine.copies import cleaned_up, execute, get, provision, provision_exotic
from engine.processes import kill, stop_before
from engine.roles import roles_of
from engine.schemas import describe
from engine.signals import SIGNALS, connected, heard
from engine.threads import beside, waiting

Status = Tenant.Status


@pytest.fixture
def source(committed_db):
    """A tenant with a note, a second member and an upload."""
    with cleaned_up():
        tenant = provision("source")
        tenant.add_user(get_user_model().objects.get(username="other"))
        with tenant:
            Note.objects.create(text="Remember", author=tenant.owner)
            default_storage.save("a/b.txt", ContentFile(b"Ours"))
        connection.set_schema_to_public()
        yield tenant


def copy_of(tenant, slug="the-copy", **options):
    clone(tenant, slug, "ada", **options)
    return get(slug)


def texts(tenant):
    with tenant:
        return [*Note.objects.order_by("pk").values_list("text", flat=True)]


# What it is


@pytest.mark.usefixtures("committed_db", "views_filled")
def test_nothing_differs_for_an_app_with_everything():
    with cleaned_up():
        exotic = provision_exotic("exotic")
        first = copy_of(exotic)  # whose name needs quotes, as the exotic one's doesn't
        second = copy_of(first, "second")

        expected = describe(exotic.schema_name)
        assert len(expected["rows of exotic_kinds"]) > 20
        assert describe(first.schema_name) == expected
        assert describe(second.schema_name) == expected


def test_it_is_like_the_source(source):
    told = []

    def hear(user, tenant, **kwargs):
        told.append((user.username, tenant.slug))

    lifecycle.suspend(source, "test")
    with connected(hear, members.tenant_user_added), heard() as sent:
        assert clone(source, "the-copy", "ada") == "the-copy.localhost"

    copy = get("the-copy")
    for name in ("name", "owner", "organization"):
        assert getattr(copy, name) == getattr(source, name)
    assert {*copy.user_set.all()} == {*source.user_set.all()}
    assert sorted(told) == [("admin", "the-copy"), ("other", "the-copy")]
    assert sent == [*SIGNALS]
    assert (copy.status, copy.origin) == (Status.ACTIVE, "clone of source")
    assert texts(copy) == ["Remember"]
    event = TenantEvent.objects.get(schema_name=copy.schema_name)
    assert (event.by, event.action, event.after) == ("ada", "clone", "active")


@pytest.mark.parametrize("is_member", [True, False])
def test_it_can_have_another_name_owner_and_organization(source, is_member):
    if not is_member:
        members.remove_member(source, "other", by="test")

    copy = copy_of(source, name="Mine", owner="other@localhost", organization="Theirs")

    assert (copy.name, copy.owner.username, copy.organization.name) == ("Mine", "other", "Theirs")
    assert roles_of(copy) == {"other": "owner", "admin": "member"}
    with copy:
        assert UserTenantPermissions.objects.get(is_superuser=True).profile == copy.owner
        groups = UserTenantPermissions.groups.through.objects.values_list("group__name", flat=True)
        assert sorted(groups) == ["member", "owner"]
    with source:
        assert UserTenantPermissions.objects.get(is_superuser=True).profile == source.owner


def test_members_sign_in_and_nobody_is_signed_in(source):
    client = TenantClient(source, source.owner)
    assert b"Remember" in client.get("/notes/").content
    _, key = keys.make(source, source.owner, "CI", "admin", days=30)
    copy = copy_of(source)

    request = RequestFactory().get("/", headers={"authorization": f"Bearer {key}"})
    with copy:
        assert keys.find_person(request) is None
    with source:
        assert keys.find_person(request) == source.owner
    client.defaults["SERVER_NAME"] = "the-copy.localhost"
    assert client.get("/notes/").status_code == 302
    for member in source.user_set.all():
        assert b"Remember" in TenantClient(copy, member).get("/notes/").content


@pytest.mark.parametrize("slug", ["thecopy", "the-copy"])
def test_nothing_of_it_names_the_source(source, slug):
    own = quote_schema_name(source.schema_name)
    execute(f"""
        CREATE FUNCTION {own}.texts() RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
            PERFORM 1 FROM pg_namespace WHERE nspname = '{source.schema_name}';
            IF NOT FOUND THEN RAISE 'nowhere'; END IF;
            RETURN QUERY SELECT text FROM {source.schema_name}.notes_note;
            RETURN QUERY EXECUTE 'SELECT text FROM {source.schema_name}.notes_note';
        END $$;
        ALTER FUNCTION {own}.texts SET search_path = {own}, public;
        CREATE VIEW {own}.seen AS SELECT note.id FROM {own}.texts(), {own}.notes_note note;
        ALTER TABLE {own}.notes_note ADD CHECK (text <> '{source.schema_name}');
        COMMENT ON CONSTRAINT notes_note_pkey ON {own}.notes_note IS 'of {source.schema_name}';
        CREATE SEQUENCE {own}.more;
    """)  # noqa: S608
    execute(f"ALTER TABLE {own}.notes_note ADD number int")
    execute(f"ALTER TABLE {own}.notes_note ALTER number SET DEFAULT nextval('{own}.more')")

    copy = copy_of(source, slug)

    assert source.schema_name not in "".join(dump.dump_schema(copy.schema_name))
    lifecycle.delete(source, "test")
    lifecycle.purge(source, "test", now=True)
    with copy:
        assert execute("SELECT texts()") == [("Remember",)] * 2
        assert len(execute("SELECT * FROM seen")) == 2
        Note.objects.create(text="Next", author=copy.owner)


def test_rows_are_never_rewritten(source):
    with source:
        Note.objects.create(text=f"in '{source.schema_name}'", author=source.owner)

    assert texts(copy_of(source)) == texts(source)


def test_a_reference_to_the_tenant_is_to_the_new_one(source):
    execute(f"CREATE TABLE {source.schema_name}.own (t bigint REFERENCES public.tenants_tenant)")
    execute(f"INSERT INTO {source.schema_name}.own VALUES ({source.pk})")  # noqa: S608

    copy = copy_of(source, "thecopy")

    assert execute(f"SELECT t FROM {copy.schema_name}.own") == [(copy.pk,)]  # noqa: S608


@pytest.mark.parametrize("goes", ["source", "the-copy"])
def test_when_one_is_purged_the_other_stays(source, goes):
    copy_of(source)
    stays = get({"source": "the-copy", "the-copy": "source"}[goes])
    before = describe(stays.schema_name)

    lifecycle.delete(get(goes), "test")
    lifecycle.purge(get(goes), "test", now=True)

    assert describe(stays.schema_name) == before
    with stays:
        assert default_storage.open("a/b.txt").read() == b"Ours"


def test_a_storage_without_folders_keeps_its_files_and_a_line_says_so(source, settings, caplog):
    backend = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = settings.STORAGES | {"default": backend}

    copy = copy_of(source)

    assert f"copy {source.schema_name}'s uploads to {copy.schema_name} by hand" in caplog.text


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ('"old_00000000"."t"', '"a-b_11111111"."t"'),
        ("old_00000000.t", '"a-b_11111111".t'),
        ("'old_00000000'", "'a-b_11111111'"),
        ("'old_00000000.t'", "'\"a-b_11111111\".t'"),
        ("an-old_00000000", "an-old_00000000"),
        ("old_000000000", "old_000000000"),
    ],
)
def test_a_name_gets_the_quotes_that_it_needs(text, renamed):
    assert rename(text, "old_00000000", "a-b_11111111") == renamed


# One moment of a tenant in use


def test_writers_go_on_and_it_is_one_moment(source):
    """The writer moves what is in one table to another, and counts that in a third."""
    own = source.schema_name
    execute(f"""
        CREATE TABLE {own}.a AS SELECT 0 AS n; CREATE TABLE {own}.b AS SELECT 1000 AS n;
        CREATE TABLE {own}.log (id serial);
    """)
    move = f"""
        BEGIN; UPDATE {own}.a SET n = n + 1; UPDATE {own}.b SET n = n - 1;
        INSERT INTO {own}.log DEFAULT VALUES; COMMIT
    """  # noqa: S608
    moves, end = [], threading.Event()

    def write():
        with connection.cursor() as cursor:
            while not end.is_set():
                moves.append(cursor.execute(move))

    with beside(write) as ended, ExitStack() as stack:
        stack.callback(end.set)
        for slug in ("one", "two", "three"):
            before = len(moves)
            copy = copy_of(source, slug).schema_name
            assert len(moves) > before + 10
            ((whole, moved, counted, next_id),) = execute(
                f"SELECT a.n + b.n, a.n, (SELECT count(*) FROM {copy}.log),"  # noqa: S608
                f" nextval('{copy}.log_id_seq') FROM {copy}.a, {copy}.b"
            )
            assert (whole, moved) == (1000, counted)
            assert next_id > counted
            assert not ended


@pytest.mark.parametrize(
    ("first", "then"),
    [
        # A table that is rewritten after a transaction's snapshot looks empty to it.
        (["ALTER TABLE notes_note ALTER text TYPE char(9)"], []),
        # Else it would wait for a table that the clone has, and the clone for one that it has.
        (
            [recording.lock("own"), "ALTER TABLE notes_note ADD more text"],
            ["ALTER TABLE auth_group ADD more text"],
        ),
    ],
)
def test_a_migration_under_way_comes_first(source, first, then):
    migrating = connection.copy()
    with source, migrating.cursor() as cursor:
        cursor.execute("BEGIN")
        for sql in first:
            cursor.execute(sql.replace('"own".', ""))
        with waiting(lambda: copy_of(source)):
            for sql in [*then, "COMMIT"]:
                cursor.execute(sql)
    migrating.close()

    assert describe(get("the-copy").schema_name) == describe(source.schema_name)


def test_a_migration_that_begins_meanwhile_goes_first(source, monkeypatch):
    """Else it would wait for the clone, the clone for pg_dump, and pg_dump for it."""
    monkeypatch.setattr(dump, "LOCK_TIMEOUT", 100)
    alter = f"ALTER TABLE {source.schema_name}.notes_note ADD more text"
    dump_around_rows = dump.dump_around_rows
    with ExitStack() as stack:

        def meanwhile(*arguments):
            stack.enter_context(waiting(lambda: execute(alter)))
            return dump_around_rows(*arguments)

        monkeypatch.setattr(dump, "dump_around_rows", meanwhile)
        with pytest.raises(CopyError, match=r"“source” can't be dumped.* timeout"):
            clone(source, "the-copy", "ada")


def test_people_sign_in_meanwhile(source, monkeypatch):
    """The clone never writes to their rows, and locks a table that refers to them at the end."""
    execute(
        f"ALTER TABLE {source.schema_name}.notes_note"
        " ADD FOREIGN KEY (author_id) REFERENCES public.users_user"
    )

    def meanwhile(schema_name):
        signing_in = connection.copy()
        with signing_in.cursor() as cursor:
            cursor.execute("SET lock_timeout = 500")
            cursor.execute("UPDATE users_user SET last_login = now()")
            cursor.execute("UPDATE tenants_tenant SET modified = now() WHERE slug = 'source'")
        signing_in.close()
        return uploads_of(schema_name)

    monkeypatch.setattr("tenancy.copies.cloning.uploads_of", meanwhile)

    assert copy_of(source).user_set.count() == 2


# Killed, or failed


def killed():
    code = "copies.clone(Tenant.objects.get(slug='source'), 'the-copy', 'ada')"
    kill(stop_before("blueprint.send_schema_signals", code), "provision the-copy")
    left = get("the-copy")
    assert (left.status, left.origin) == (Status.PROVISIONING, "clone of source")
    assert uploads_of(left.schema_name).path.exists()
    return left


def test_half_a_clone_is_never_finished_as_another_tenant(source):
    left = killed()

    with pytest.raises(
        IllegalTransition, match="half a clone of source: `provision_tenant --abandon"
    ):
        lifecycle.finish(left, "ada")
    with pytest.raises(SlugTaken):
        provision("the-copy")

    assert texts(copy_of(source)) == ["Remember"]


@pytest.mark.usefixtures("source")
def test_half_a_clone_is_abandoned():
    left = killed()

    lifecycle.abandon(left, "ada")

    assert not Tenant.all_objects.filter(slug="the-copy").exists()
    assert not uploads_of(left.schema_name).path.exists()


@contextmanager
def nothing_left():
    folders = {*uploads_of("any").path.parent.iterdir()}
    yield
    assert not Tenant.all_objects.filter(slug="the-copy").exists()
    assert {*uploads_of("any").path.parent.iterdir()} == folders


@pytest.mark.parametrize("step", [(blueprint, "send_schema_signals"), (provisioning, "activate")])
def test_a_clone_that_fails_leaves_nothing(source, monkeypatch, step):
    monkeypatch.setattr(*step, lambda *args: 1 / 0)

    with nothing_left(), pytest.raises(ZeroDivisionError):
        clone(source, "the-copy", "ada")


def test_uploads_that_cannot_be_copied_leave_nothing(source):
    os.mkfifo(uploads_of(source.schema_name).path / "pipe")

    with nothing_left(), pytest.raises(CopyError, match=r"Uploads can't be copied: .*named pipe"):
        clone(source, "the-copy", "ada")


# What is refused


@pytest.mark.parametrize("copy", ["clone", "backup"])
@pytest.mark.parametrize("change", ["rename", "transfer"])
def test_a_tenant_that_is_changed_before_the_moment_is_not_copied_as_it_was(
    source, monkeypatch, tmp_path, copy, change
):
    """The former owner would own the copy, without an owner's rights."""

    def meanwhile(schema_name):
        if change == "rename":
            lifecycle.rename(source, "ada", name="Renamed")
        else:
            lifecycle.transfer(source, "other", "ada")
        return tables_of(schema_name)

    tables_of = consistent.tables_of
    monkeypatch.setattr(consistent, "tables_of", meanwhile)
    where = {"clone": "the-copy", "backup": tmp_path / "file.zip"}[copy]
    with nothing_left(), pytest.raises(CopyError, match="“source” was changed meanwhile: run it"):
        getattr(copies, copy)(source, where, "ada")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("by_name", [False, True])
def test_the_commands_last_line_is_the_host(source, capsys, by_name):
    named = ["--clone_from", source.schema_name, "--slug", "the-copy"]
    call_command("clone_tenant", *(named if by_name else ["source", "the-copy"]))

    assert capsys.readouterr().out.splitlines()[-1] == "the-copy.localhost"
