"""A tenant's schema from the blueprint is the one that migrations make, and comes without them."""

import re
from functools import partial

import pytest
from asgiref.sync import markcoroutinefunction
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Replace
from django.db.models.signals import post_migrate
from django.test.utils import CaptureQueriesContext
from django_tenants.signals import schema_migrated
from django_tenants.utils import schema_context, schema_exists
from server.tenants.models import Tenant
from tenancy.exceptions import DumpFailed
from tenancy.fleet import scratch as scratch_database
from tenancy.health import doctor
from tenancy.lifecycle import provision_tenant
from tenancy.models import Blueprint
from tenancy.schemas import blueprint, dump
from tenancy.schemas.ddl import create_schema, drop_schema

from engine.copies import cleaned_up, exotic_installed
from engine.processes import Fork, start
from engine.schemas import describe
from engine.signals import connected

MIGRATED, REPLAYED = "the-migrated_00000000", "the-replayed_00000000"


@pytest.fixture
def with_everything():
    with exotic_installed():
        yield


@pytest.fixture
def kept(committed_db):
    """Whatever becomes of the blueprint in the test, the next one finds it as it was."""
    row = Blueprint.objects.values().get()
    yield row
    Blueprint.objects.all().delete()
    Blueprint.objects.create(**row)
    blueprint.load.cache_clear()
    blueprint.after_all_migrations.cache_clear()
    assert templates() == []


@pytest.fixture
def scratch(committed_db):
    yield
    for schema_name in filter(schema_exists, (MIGRATED, REPLAYED)):
        drop_schema(schema_name)


def templates():
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'blueprint-%'")
        return cursor.fetchall()


# What it makes


def make_both(dump_template):
    """One schema that is migrated, and one from a blueprint."""
    try:
        template_name, statements = dump_template()
    finally:
        blueprint.drop_templates()
    create_schema(MIGRATED)
    call_command("migrate_schemas", schema_name=MIGRATED, verbosity=0)
    dump.replay(statements, template_name, REPLAYED)
    blueprint.send_schema_signals(REPLAYED)


def written_down(schema_name):
    text = "\n".join(dump.dump_schema(schema_name)).replace(schema_name, "own")
    return re.sub(r"'[-0-9]{10} [0-9:.]+\+00'", "'now'", text).splitlines()


@pytest.mark.usefixtures("with_everything", "scratch", "views_filled")
@pytest.mark.parametrize("way", [blueprint.dump_template, scratch_database.dump_in_scratch])
def test_nothing_differs_for_an_app_with_everything(way):
    make_both(way)

    assert len(describe(REPLAYED)["rows of Exotic-Thing"]) > 20
    assert describe(REPLAYED) == describe(MIGRATED)
    assert written_down(REPLAYED) == written_down(MIGRATED)


@pytest.mark.usefixtures("db")
def test_a_tenant_takes_few_queries_and_no_migration():
    provision_tenant("Name", "warm", "First Organization", "admin")  # a process reads once
    with CaptureQueriesContext(connection) as queries:
        provision_tenant("Name", "acme", "A new customer", "admin")

    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert len(statements) <= 15
    assert sum("CREATE TABLE" in statement for statement in statements) == 1


@pytest.mark.usefixtures("db")
def test_nobody_who_signs_in_waits_for_a_tenant():
    provision_tenant("Name", "acme", "First Organization", "admin")

    with connection.cursor() as cursor:  # all is still one transaction, which keeps its locks
        cursor.execute(
            "SELECT mode FROM pg_locks"
            " WHERE relation = %s::regclass AND pid = pg_backend_pid() AND granted",
            [get_user_model()._meta.db_table],
        )
        modes = {mode for (mode,) in cursor}
    assert modes <= {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}


# When it can't be used


def make(schema_name):
    """As a process does that hasn't made any yet."""
    blueprint.load.cache_clear()
    with blueprint.new_schema(schema_name):
        pass


def lose():
    Blueprint.objects.all().delete()


def outdate():
    Blueprint.objects.update(key="another")


def damage():
    Blueprint.objects.update(statements=Replace("statements", Value("notes"), Value("goats")))


def spoil():
    row = Blueprint.objects.get()
    row.statements = row.statements.replace("CREATE TABLE", "CREATE TABEL", 1)
    row.checksum = blueprint.checksum((row.template_name + row.statements).encode())
    row.save()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lose, "there is none"),
        (outdate, "other migrations"),
        (damage, "damaged"),
        (spoil, 'syntax error at or near "TABEL"'),
    ],
)
@pytest.mark.usefixtures("scratch")
def test_migrations_do_what_the_blueprint_cannot(kept, change, reason, caplog):
    make(REPLAYED)
    assert caplog.messages == []

    change()
    make(MIGRATED)

    (message,) = caplog.messages
    assert message.startswith(f"Without a blueprint, migrations make {MIGRATED}: ")
    assert reason in message
    assert describe(MIGRATED) == describe(REPLAYED)


@pytest.mark.usefixtures("scratch")
def test_one_that_failed_is_read_anew(kept, caplog):
    spoil()
    make(MIGRATED)
    caplog.clear()

    Blueprint.objects.update(statements=kept["statements"], checksum=kept["checksum"])
    with blueprint.new_schema(REPLAYED):
        pass

    assert caplog.messages == []


def test_without_pg_dump_a_line_says_so(kept, capsys, monkeypatch):
    def fail(schema_name):
        raise DumpFailed("There is no pg_dump.")

    monkeypatch.setattr(dump, "dump_schema", fail)
    lose()

    call_command("init_tenant", verbosity=0)

    line, *_ = capsys.readouterr().out.splitlines()
    assert line == "New tenants will be made by migrations, slowly: There is no pg_dump."
    assert not Blueprint.objects.exists()


def test_what_a_replay_would_not_make_is_not_kept(kept, caplog, monkeypatch):
    whole = dump.dump_schema
    monkeypatch.setattr(dump, "dump_schema", lambda name: whole(name)[:-1])
    lose()

    blueprint.refresh()

    assert "A replay makes something else: ALTER TABLE" in caplog.text
    assert not Blueprint.objects.exists()


# How it is made anew


@pytest.mark.usefixtures("db")
def test_what_is_right_is_left_alone():
    with CaptureQueriesContext(connection) as queries:
        blueprint.refresh()

    assert len(queries) == 1


@pytest.mark.usefixtures("with_everything", "scratch", "views_filled")
def test_after_a_new_migration_it_is_made_anew(kept, caplog):
    assert not blueprint.is_usable()

    blueprint.refresh()
    make(REPLAYED)

    assert caplog.messages == []
    assert Blueprint.objects.get().key != kept["key"]
    with schema_context(REPLAYED), connection.cursor() as cursor:
        cursor.execute("SELECT number FROM filled_later")
        assert cursor.fetchall() == [(1,)]


def test_a_migration_that_was_edited_makes_another_key(with_everything, monkeypatch):
    before = blueprint.key()
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda path: b"another")
    blueprint.key.cache_clear()

    assert blueprint.key() != before


@pytest.mark.usefixtures("db")
def test_the_doctor_knows_what_a_template_is():
    create_schema(blueprint.new_name())

    assert list(doctor.examine()) == []


# Who hears of it


@pytest.fixture
def heard():
    """What receivers of ours got: the signal, the schema and what came with it."""
    calls = []

    def on_migrate(app_config, **kwargs):
        calls.append((app_config.label, connection.schema_name, kwargs))

    def on_migrated(schema_name, **kwargs):
        calls.append((schema_name, connection.schema_name, kwargs))

    with connected(on_migrate, post_migrate), connected(on_migrated, schema_migrated):
        yield calls


@pytest.mark.usefixtures("scratch")
def test_receivers_hear_what_they_hear_from_migrations(kept, heard):
    def summary():
        *each_app, (migrated, where, _) = heard
        _, _, arguments = each_app[0]
        models = {model._meta.label for model in arguments["apps"].get_models()}
        plan = [(str(migration), backwards) for migration, backwards in arguments["plan"]]
        senders = [(label, schema == migrated) for label, schema, _ in each_app]
        heard.clear()
        return senders, where, models, plan, arguments.keys()

    make(REPLAYED)
    replayed = summary()
    lose()
    make(MIGRATED)

    assert summary() == replayed
    assert replayed[1] == "public"


@pytest.mark.usefixtures("scratch")
def test_receivers_of_every_kind_hear():
    heard = []

    async def asynchronous(kind, **kwargs):
        heard.append(kind)

    class Receiver:
        def __call__(self, **kwargs):
            heard.append("an object")

    marked = markcoroutinefunction(lambda **kwargs: asynchronous("marked"))
    receivers = [partial(asynchronous, "partial"), Receiver(), marked]
    sender = apps.get_app_config("notes")
    for receiver in receivers:
        post_migrate.connect(receiver, sender=sender)
    try:
        with blueprint.new_schema(REPLAYED):
            pass
    finally:
        for receiver in receivers:
            post_migrate.disconnect(receiver, sender=sender)

    assert sorted(heard) == ["an object", "marked", "partial"]


def test_a_template_is_nobodys_business(kept, heard):
    lose()

    blueprint.refresh()

    assert heard == []
    assert blueprint.is_usable()


@pytest.mark.parametrize("change", [lambda: None, lose])
@pytest.mark.parametrize("where", ["a receiver", "the block"])
def test_what_fails_in_a_new_schema_leaves_none(kept, change, where):
    def fail(**kwargs):
        raise ZeroDivisionError

    change()
    with (
        pytest.raises((ZeroDivisionError, CommandError)),
        connected(fail, *[schema_migrated] * (where == "a receiver")),
        blueprint.new_schema(REPLAYED),
    ):
        fail()

    assert not schema_exists(REPLAYED)


# Several processes


@pytest.mark.usefixtures("committed_db")
def test_several_processes_make_tenants_at_once():
    code = "for slug in {}: provision_tenant('Many', slug, 'Many', 'admin')"
    slugs = [[f"many-{one}{two}" for two in "abc"] for one in "abc"]
    with cleaned_up():
        processes = [Fork(code.format(some)) for some in slugs]
        assert [process.communicate()[1] for process in processes] == ["", "", ""]

        tenants = Tenant.objects.filter(name="Many")
        described = [describe(tenant.schema_name).keys() for tenant in tenants]
        assert described == [described[0]] * 9


def test_one_that_is_killed_is_cleaned_up_by_those_that_follow(kept, caplog):
    lose()
    wait = "input(print('ready', flush=True))"
    killed = start(f"blueprint.migrate = lambda name: {wait}\nblueprint.refresh()")
    follower = start(f"{wait}\nblueprint.refresh()")
    for process in (killed, follower):
        assert process.stdout.readline() == "ready\n"
    assert len(templates()) == 1
    killed.kill()
    killed.communicate()

    print(file=follower.stdin, flush=True)
    blueprint.refresh()

    assert (follower.communicate(timeout=60)[1], caplog.messages) == ("", [])
    assert blueprint.is_usable()
    assert templates() == []
