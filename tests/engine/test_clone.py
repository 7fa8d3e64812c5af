"""A clone is its source at one moment in all but the name, and has nothing to do with it."""

import os
import threading

import pytest
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django_tenants.signals import schema_migrated
from django_tenants.utils import quote_schema_name
from server.notes.models import Note
from server.tenants.models import Tenant
from server.tenants.receivers import fill_materialized_views
from tenancy import copies, lifecycle
from tenancy.copies import clone, consistent
from tenancy.exceptions import CopyError, IllegalTransition, SlugTaken
from tenancy.fleet import recording
from tenancy.lifecycle import provisioning
from tenancy.models import TenantEvent
from tenancy.people import members
from tenancy.schemas import blueprint, dump, uploads
from tenancy.schemas.dump import rename
from tenancy.schemas.uploads import folder_of
from tenancy.testing import TenantClient
from tenant_users.permissions.models import UserTenantPermissions

from engine.copies import cleaned_up, execute, get, provision, provision_exotic
from engine.processes import kill, stop_before
from engine.schemas import describe
from engine.signals import SIGNALS, connected, heard

Status = Tenant.Status


@pytest.fixture(scope="module")
def exotic(django_db_setup, django_db_blocker):
    with (
        django_db_blocker.unblock(),
        cleaned_up(),
        connected(fill_materialized_views, schema_migrated),
    ):
        yield provision_exotic("exotic")


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


@pytest.mark.usefixtures("committed_db")
def test_nothing_differs_for_an_app_with_everything(exotic):
    with cleaned_up():
        first = copy_of(exotic)  # whose name needs quotes, as the exotic one's doesn't
        second = copy_of(first, "second")

        expected = describe(exotic.schema_name)
        assert len(expected["rows of exotic_kinds"]) > 20
        assert describe(first.schema_name) == expected
        assert describe(second.schema_name) == expected


def test_a_signal_tells_of_each_member(source):
    told = []

    def hear(user, tenant, **kwargs):
        told.append((user.username, tenant.slug))

    with connected(hear, members.tenant_user_added):
        copy_of(source)

    assert sorted(told) == [("admin", "the-copy"), ("other", "the-copy")]


def test_it_is_who_the_source_is(source):
    lifecycle.suspend(source, "test")
    assert clone(source, "the-copy", "ada") == "the-copy.localhost"

    copy = get("the-copy")
    for name in ("name", "owner", "organization"):
        assert getattr(copy, name) == getattr(source, name)
    assert {*copy.user_set.all()} == {*source.user_set.all()}
    assert (copy.status, copy.origin) == (Status.ACTIVE, "clone of source")
    assert texts(copy) == ["Remember"]
    change = TenantEvent.objects.get(schema_name=copy.schema_name)
    assert (change.by, change.action, change.after) == ("ada", "clone", "active")


def test_it_can_be_called_otherwise_and_be_somebody_elses(source):
    copy = copy_of(source, name="Mine", owner="other@localhost", organization="Theirs")

    assert (copy.name, copy.owner.username, copy.organization.name) == ("Mine", "other", "Theirs")
    with copy:
        rights = {each.profile.username: each for each in UserTenantPermissions.objects.all()}
    assert (rights["other"].is_superuser, rights["admin"].is_superuser) == (True, False)
    with source:
        assert UserTenantPermissions.objects.get(is_superuser=True).profile == source.owner


def test_who_owns_it_becomes_a_member(source):
    members.remove_member(source, "other", by="test")

    copy = copy_of(source, owner="other")

    assert copy.user_set.count() == 2
    with copy:
        assert UserTenantPermissions.objects.get(is_superuser=True).profile == copy.owner
    roles = {member.user.username: member.role for member in members.list_members(copy)}
    assert roles == {"other": "owner", "admin": "member"}
    with copy:
        groups = UserTenantPermissions.groups.through.objects.values_list("group__name", flat=True)
        assert sorted(groups) == ["member", "owner"]


def test_members_sign_in_and_nobody_is_signed_in(source):
    client = TenantClient(source, source.owner)
    assert b"Remember" in client.get("/notes/").content
    copy = copy_of(source)

    client.defaults["SERVER_NAME"] = "the-copy.localhost"
    assert client.get("/notes/").status_code == 302
    for member in source.user_set.all():
        assert b"Remember" in TenantClient(copy, member).get("/notes/").content


def test_numbers_go_on(source):
    copy = copy_of(source)

    keys = []
    for tenant in (source, copy):
        with tenant:
            keys.append(Note.objects.create(text="Next", author=tenant.owner).pk)
    assert keys == [2, 2]


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
        ALTER TABLE {own}.notes_note ADD number int DEFAULT nextval('{own}.more');
    """)  # noqa: S608

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
def test_either_of_both_goes_and_the_other_stays(source, goes):
    copy_of(source)
    stays = get({"source": "the-copy", "the-copy": "source"}[goes])
    before = describe(stays.schema_name)

    lifecycle.delete(get(goes), "test")
    lifecycle.purge(get(goes), "test", now=True)

    assert describe(stays.schema_name) == before
    with stays:
        assert default_storage.open("a/b.txt").read() == b"Ours"


def test_uploads_are_its_own(source):
    with copy_of(source):
        default_storage.delete("a/b.txt")

    with source:
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
    """The writer moves what is in one table to another, and keeps count of it in a third."""
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
        writing = connection.copy()
        with writing.cursor() as cursor:
            while not end.is_set():
                moves.append(cursor.execute(move))
        writing.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
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
    finally:
        end.set()
        thread.join()


def test_what_is_being_altered_is_copied_as_it_is_then(source):
    """A table that is rewritten after a transaction's moment looks empty to it."""
    altering = connection.copy()
    copying = threading.Thread(target=lambda: (copy_of(source), connection.close()))
    try:
        with altering.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"ALTER TABLE {source.schema_name}.notes_note ALTER text TYPE char(9)")
            copying.start()
            while not execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert copying.is_alive()
            cursor.execute("COMMIT")
    finally:
        altering.close()
        copying.join()

    assert texts(get("the-copy")) == ["Remember "]


def test_a_migration_of_several_tables_comes_first(source):
    """Else it would wait for a table that we have, and we for one that it has."""
    migrating, outcome = connection.copy(), []
    own = source.schema_name

    def copy():
        try:
            outcome.append(copy_of(source))
        finally:
            connection.close()

    thread = threading.Thread(target=copy)
    try:
        with migrating.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(recording.lock(own))
            cursor.execute(f"ALTER TABLE {own}.notes_note ADD more text")
            thread.start()
            while not execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert thread.is_alive()
            cursor.execute(f"ALTER TABLE {own}.auth_group ADD more text")
            cursor.execute("COMMIT")
    finally:
        migrating.close()
        thread.join()

    assert describe(outcome[0].schema_name) == describe(own)


def test_who_has_to_alter_a_table_meanwhile_goes_first(source, monkeypatch):
    """Else that one would wait for the clone, the clone for pg_dump, and pg_dump for that one."""
    monkeypatch.setattr(dump, "LOCKED", 100)
    alter = f"ALTER TABLE {source.schema_name}.notes_note ADD more text"
    thread = threading.Thread(target=lambda: (execute(alter), connection.close()))
    dump_schema = dump.dump_around_rows

    def meanwhile(*arguments):
        thread.start()
        while not execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
            assert thread.is_alive()
        return dump_schema(*arguments)

    monkeypatch.setattr(dump, "dump_around_rows", meanwhile)
    with pytest.raises(CopyError, match=r"“source” can't be written down.* timeout"):
        clone(source, "the-copy", "ada")
    thread.join()


def test_people_sign_in_meanwhile(source, monkeypatch):
    """What a transaction that stands still can't change is the row of somebody who signs in."""
    signing_in = connection.copy()
    left_out = consistent.left_out

    def meanwhile():
        with signing_in.cursor() as cursor:
            cursor.execute("UPDATE users_user SET last_login = now()")
            cursor.execute("UPDATE tenants_tenant SET modified = now() WHERE slug = 'source'")
        return left_out()

    monkeypatch.setattr("tenancy.copies.cloning.left_out", meanwhile)
    try:
        assert copy_of(source).user_set.count() == 2
    finally:
        signing_in.close()


def test_people_sign_in_while_uploads_are_copied(source, monkeypatch):
    """What refers to a shared table keeps others from writing to it until the end."""
    execute(
        f"ALTER TABLE {source.schema_name}.notes_note"
        " ADD FOREIGN KEY (author_id) REFERENCES public.users_user"
    )

    def meanwhile(*names):
        signing_in = connection.copy()
        try:
            with signing_in.cursor() as cursor:
                cursor.execute("SET lock_timeout = 500")
                cursor.execute("UPDATE users_user SET last_login = now()")
        finally:
            signing_in.close()
        uploads.copy_files(*names)

    monkeypatch.setattr("tenancy.copies.cloning.copy_files", meanwhile)

    assert texts(copy_of(source)) == ["Remember"]


# Whoever is killed, or fails


CLONE = "copies.clone(Tenant.objects.get(slug='source'), 'the-copy', 'ada')"


def killed(where):
    kill(stop_before(where, CLONE), "provision the-copy")
    return get("the-copy")


@pytest.mark.parametrize("where", ["cloning.copy_files", "consistent.grant_memberships"])
def test_half_a_clone_is_never_finished_as_another_tenant(source, where):
    left = killed(where)
    assert (left.status, left.origin) == (Status.PROVISIONING, "clone of source")

    with pytest.raises(
        IllegalTransition, match="half a clone of source: `provision_tenant --abandon"
    ):
        lifecycle.finish(left, "ada")
    with pytest.raises(SlugTaken):
        provision("the-copy")

    assert clone(source, "the-copy", "ada") == "the-copy.localhost"
    assert texts(get("the-copy")) == ["Remember"]


@pytest.mark.usefixtures("source")
def test_half_a_clone_is_abandoned():
    left = killed("blueprint.send_schema_signals")
    assert folder_of(left.schema_name).exists()

    lifecycle.abandon(left, "ada")

    assert not Tenant.all_objects.filter(slug="the-copy").exists()
    assert not folder_of(left.schema_name).exists()


@pytest.mark.parametrize("step", [(blueprint, "send_schema_signals"), (provisioning, "activate")])
def test_what_fails_leaves_nothing(source, monkeypatch, step):
    monkeypatch.setattr(*step, lambda *args: 1 / 0)
    folders = {*folder_of("any").parent.iterdir()}

    with pytest.raises(ZeroDivisionError):
        clone(source, "the-copy", "ada")

    assert not Tenant.all_objects.filter(slug="the-copy").exists()
    assert {*folder_of("any").parent.iterdir()} == folders


def test_what_no_file_can_be_copied_from_leaves_nothing(source):
    os.mkfifo(folder_of(source.schema_name) / "pipe")
    folders = {*folder_of("any").parent.iterdir()}

    with pytest.raises(CopyError, match=r"Uploads can't be copied: .*named pipe"):
        clone(source, "the-copy", "ada")

    assert not Tenant.all_objects.filter(slug="the-copy").exists()
    assert {*folder_of("any").parent.iterdir()} == folders


def test_without_pg_dump_one_line_says_so(source, monkeypatch):
    monkeypatch.setattr("tenancy.postgres.programs.programs", lambda *args, **kwargs: [])

    with pytest.raises(CopyError, match="“source” can't be written down"):
        clone(source, "the-copy", "ada")


def test_signals_are_sent_once(source):
    with heard() as sent:
        clone(source, "the-copy", "ada")

    assert sent == [*SIGNALS]


# What is refused


@pytest.mark.parametrize("copy", ["clone", "backup"])
@pytest.mark.parametrize("change", ["rename", "transfer"])
def test_what_is_changed_before_the_moment_is_not_copied_as_it_was(
    source, monkeypatch, tmp_path, copy, change
):
    """Who was the owner would own the copy, without an owner's rights."""

    def meanwhile(schema_name):
        if change == "rename":
            lifecycle.rename(source, "ada", name="Renamed")
        else:
            lifecycle.transfer(source, "other", "ada")
        return tables_of(schema_name)

    tables_of = consistent.tables_of
    monkeypatch.setattr(consistent, "tables_of", meanwhile)
    where = {"clone": "the-copy", "backup": tmp_path / "file.zip"}[copy]
    with pytest.raises(CopyError, match="“source” was changed meanwhile: run it again"):
        getattr(copies, copy)(source, where, "ada")

    assert not Tenant.all_objects.filter(slug="the-copy").exists()
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("status", [Status.PROVISIONING, Status.DELETED, Status.PURGING])
def test_only_an_active_or_suspended_tenant_is_cloned(tenant, status):
    tenant.deactivate()
    Tenant.objects.filter(pk=tenant.pk).update(status=status)

    with pytest.raises(
        IllegalTransition, match=f"Can't clone “first”: it is {status}, not active or"
    ):
        clone(tenant, "the-copy", "ada")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Name the tenant to copy and the copy's slug"),
        (["first"], "Name the tenant to copy and the copy's slug"),
        (["first", "x", "--clone_from", "x"], "Name the tenant to copy and the copy's slug"),
        (["first", "x", "--slug", "y"], "Name the tenant to copy and the copy's slug"),
        (["nobody", "x"], "There is no tenant with the slug “nobody”"),
        (["public", "x"], "Can't clone “public”: it is the main website"),
        (["first", ""], "A slug takes"),
        (["first", "../x"], "A slug takes"),
        (["first", "x" * 10_000], "A slug takes"),
        (["first", "www"], "is reserved"),
        (["first", "other"], "“other” is taken"),
        (["first", "first"], "“first” is taken"),
        (["first", "a\0"], "is not valid text"),
        (["first", "x", "--owner", "nobody"], "There is no active user “nobody”"),
        (["first", "x", "--name", "x" * 201], "must have 1 to 200 characters"),
        (["first", "x", "--organization", "x" * 201], "must have 1 to 200 characters"),
        (["first", "x", "--name", "\udcff"], "is not valid text"),
        (["--clone_from", "nobody", "--slug", "x"], "no tenant with the schema name “nobody”"),
        (["first", "x", "--schema_name", "x"], "unrecognized arguments"),
    ],
)
def test_the_command_refuses_in_one_line(arguments, says):
    tenants = Tenant.all_objects.count()
    with pytest.raises(CommandError, match=says) as refusal:
        call_command("clone_tenant", *arguments)

    assert len(str(refusal.value).splitlines()) == 1
    assert Tenant.all_objects.count() == tenants


@pytest.mark.parametrize("by_name", [False, True])
def test_the_commands_last_line_is_the_host(source, capsys, by_name):
    named = ["--clone_from", source.schema_name, "--slug", "the-copy"]
    call_command("clone_tenant", *(named if by_name else ["source", "the-copy"]))

    assert capsys.readouterr().out.splitlines()[-1] == "the-copy.localhost"
