"""A connection is in the current tenant's schema, whatever became of its transactions.

These tests commit, and so they write nothing.
"""

import contextlib
import threading

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.core.exceptions import SynchronousOnlyOperation
from django.core.files.storage import default_storage
from django.core.signals import request_finished
from django.db import DatabaseError, connection, connections, transaction
from django_tenants.postgresql_backend.base import original_backend
from django_tenants.utils import schema_context, tenant_context
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy.database.base import DatabaseWrapper, Introspection
from tenancy.isolation import signing

from engine.statements import driver_cursor, record

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def first(committed_db):
    return Tenant.objects.get(slug="first")


@pytest.fixture
def other(committed_db):
    return Tenant.objects.get(slug="other")


def in_force(connection=connection):
    """The schema in which PostgreSQL looks first, at the next query of Django's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        return cursor.fetchone()[0]


def raw(sql):
    """Run SQL in a way that Django knows nothing of; an error is swallowed."""
    with contextlib.suppress(connection.Database.Error), connection.connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def search_paths(committed_db):
    """How often the connection has set its search_path."""
    connection.ensure_connection()
    before = connection.connection.cursor_factory
    statements = record()
    yield lambda: sum("search_path" in sql for sql in statements)
    connection.connection.cursor_factory = before


def test_the_search_path_is_set_no_more_than_it_has_to_be(first, other, search_paths):
    with first:
        for _ in range(3):
            in_force()
        with first, transaction.atomic():
            in_force()
        connection.set_tenant(other)
        connection.set_tenant(first)
        in_force()
        assert search_paths() == 1
    with other:
        in_force()
        assert search_paths() == 2
        request_finished.send(sender=None)
    with other:
        in_force()
        assert search_paths() == (2 if connection.reported else 3)


def test_a_transaction_begins_with_the_search_path_set(first, search_paths):
    with first, transaction.atomic():
        for _ in range(3):
            assert in_force() == first.schema_name
    assert search_paths() == 1


@pytest.mark.parametrize(
    "end",
    [
        lambda: None,
        lambda: raw("SELECT 1 / 0"),
        lambda: raw("ROLLBACK"),
        lambda: transaction.set_rollback(True),
    ],
)
def test_no_end_of_a_transaction_leaves_another_tenants_search_path(first, other, end):
    with first:
        in_force()
        with transaction.atomic():
            with other:
                assert in_force() == other.schema_name
            connection.set_tenant(other)
            in_force()
            end()
        assert in_force() == other.schema_name
    assert in_force() == "public"


@pytest.mark.parametrize("back", ["first", "other"])
def test_no_rollback_to_a_savepoint_does(first, other, back):
    tenants = {"first": first, "other": other}
    connection.set_tenant(first)
    with transaction.atomic():
        raw("SAVEPOINT ours")
        connection.set_tenant(other)
        assert in_force() == other.schema_name
        raw("SELECT 1 / 0")
        raw("ROLLBACK TO SAVEPOINT ours")
        connection.set_tenant(tenants[back])
        assert in_force() == tenants[back].schema_name
        with contextlib.suppress(DatabaseError), transaction.atomic():
            connection.set_tenant(first)
            connection.cursor().execute("SELECT 1 / 0")
        connection.set_tenant(tenants[back])
        assert in_force() == tenants[back].schema_name
    assert in_force() == tenants[back].schema_name


def test_a_transaction_that_was_begun_by_hand_is_noticed(first, other):
    with first:
        in_force()
        raw("BEGIN")
        with other:
            assert in_force() == other.schema_name
        raw("ROLLBACK")
        assert in_force() == first.schema_name


def test_a_new_connection_is_in_the_current_tenant(first):
    with first:
        in_force()
        connection.close()
        assert in_force() == first.schema_name


@pytest.mark.parametrize("robust", [False, True])
def test_what_waits_for_a_commit_runs_where_it_was_registered(first, other, robust):
    seen = []
    with other, transaction.atomic():
        with first:
            transaction.on_commit(lambda: seen.append(in_force()), robust=robust)
        with schema_context("public"):
            transaction.on_commit(lambda: seen.append(in_force()), robust=robust)
        transaction.on_commit(lambda: seen.append(in_force()), robust=robust)

    assert seen == [first.schema_name, "public", other.schema_name]


def test_a_callback_that_fails_leaves_the_tenant_as_it_was(first, other):
    def fail():
        raise RuntimeError

    with other:
        with pytest.raises(RuntimeError), transaction.atomic(), first:
            transaction.on_commit(fail)
        assert connection.tenant == other


@pytest.fixture
def replica(committed_db):
    """The same database under a second alias."""
    connections.settings["replica"] = {**connections.settings["default"]}
    yield "replica"
    connections["replica"].close()
    del connections["replica"]
    del connections.settings["replica"]


def test_no_alias_is_left_in_another_tenant(first, other, replica):
    with first:
        assert in_force(connections[replica]) == first.schema_name
        with tenant_context(other):
            assert in_force(connections[replica]) == other.schema_name
        assert in_force(connections[replica]) == first.schema_name
    assert in_force(connections[replica]) == "public"


def test_an_alias_that_is_opened_late_is_in_the_current_tenant(first, replica):
    with first:
        assert connections[replica].tenant == first
        assert connection.tenant == first


def test_a_new_thread_is_in_public(first):
    seen = []
    with first:
        thread = threading.Thread(target=lambda: seen.append(connection.schema_name))
        thread.start()
        thread.join()

    assert seen == ["public"]


def test_introspection_is_of_the_tenant_and_of_the_original_backend(first):
    original = original_backend.DatabaseWrapper.introspection_class
    assert isinstance(connection.introspection, original)
    assert "notes_note" not in connection.introspection.table_names()
    with first:
        assert "notes_note" in connection.introspection.table_names()
        assert "tenants_tenant" not in connection.introspection.table_names()


class Interrupted(Exception):
    """What a signal's handler raises in the middle of anything."""


def test_an_interrupted_switch_is_not_believed(first, other):
    class Interrupting(driver_cursor()):
        def execute(self, sql, *args):
            super().execute(sql, *args)
            if "search_path" in sql:
                raise Interrupted

    with first:
        in_force()
        before = connection.connection.cursor_factory
        connection.connection.cursor_factory = Interrupting
        with pytest.raises(Interrupted), other:
            in_force()
        connection.connection.cursor_factory = before
        assert in_force() == first.schema_name


@pytest.mark.parametrize(
    "sql",
    [
        'SET search_path = "public"',
        "RESET search_path",
        "RESET ALL",
        "DISCARD ALL",
        "SELECT set_config('search_path', 'public', false)",
    ],
)
def test_a_statement_that_moves_the_search_path_is_noticed(first, sql):
    with first:
        with connection.cursor() as cursor:
            cursor.execute(sql)
        assert in_force() == first.schema_name


TRANSITIONS = "DO $$ BEGIN PERFORM set_config('search_path', 'public', {}); END $$"


def test_what_moves_the_search_path_unseen_is_noticed_where_the_server_reports_it(first, other):
    if connection.pg_version < 180000:
        return  # then it ends with the request
    with first:
        for how in ("false", "true"):
            in_force()
            raw(TRANSITIONS.format(how))
            assert in_force() == first.schema_name
        with transaction.atomic():
            raw(TRANSITIONS.format("true"))
            assert in_force() == first.schema_name
            raw(TRANSITIONS.format("false"))
        assert in_force() == first.schema_name


def test_a_report_of_another_search_path_than_was_set_is_not_believed(first, monkeypatch):
    monkeypatch.setattr(DatabaseWrapper, "report", lambda self: '"$user", public')
    connection.close()
    with first:
        in_force()
        raw("SET search_path = public")
        request_finished.send(sender=None)
    with first:
        assert in_force() == first.schema_name


@pytest.mark.parametrize("alias", ["default", "replica"])
def test_a_search_path_that_moved_unseen_ends_with_the_request(first, replica, alias):
    with first:
        in_force(connections[alias])
        with connections[alias].connection.cursor() as unseen:
            unseen.execute("SET search_path = public")
        request_finished.send(sender=None)
    with first:
        assert in_force(connections[alias]) == first.schema_name


@pytest.mark.parametrize("debug", [True, False])
def test_a_cursor_that_is_used_again_is_in_the_current_tenant(first, other, settings, debug):
    settings.DEBUG = debug
    seen = []
    with connection.cursor() as cursor:
        for tenant in (first, other, first):
            with tenant:
                cursor.execute("SELECT current_schema()")
                seen.append(cursor.fetchone()[0])

    assert seen == [first.schema_name, other.schema_name, first.schema_name]


@pytest.mark.parametrize(
    "use",
    [
        lambda tenant: connection.schema_name,
        lambda tenant: connection.set_tenant(tenant),
        lambda tenant: cache.get("key"),
        lambda tenant: signing.dumps("secret"),
        lambda tenant: default_storage.path("file"),
    ],
)
def test_an_event_loop_is_in_no_tenant(first, use):
    async def view():
        use(first)

    with first, pytest.raises(SynchronousOnlyOperation):
        async_to_sync(view)()


def test_an_async_view_counts_its_tenants_rows(first):
    owner = first.owner

    async def view():
        note = Note(text="built here", author=owner)
        return note.text, await Note.objects.acount()

    with first:
        assert async_to_sync(view)() == ("built here", 0)


def test_what_is_no_callback_is_refused_at_once(first):
    with transaction.atomic(), pytest.raises(TypeError):
        transaction.on_commit(None)


KINDS = """
    CREATE TABLE "Parted" (id int) PARTITION BY LIST (id);
    CREATE TABLE part PARTITION OF "Parted" DEFAULT;
    CREATE VIEW seen AS SELECT 1;
    CREATE MATERIALIZED VIEW kept AS SELECT 1;
    CREATE SEQUENCE no_table;
    COMMENT ON TABLE part IS 'a comment';
"""


def test_introspection_finds_the_tables_that_django_finds(first):
    for where in (first.schema_name, "public"):
        with schema_context(where), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(KINDS)

            found = connection.introspection.get_table_list(cursor)

            library = super(Introspection, connection.introspection)
            assert {*found} == {*library.get_table_list(cursor)}
            assert {"Parted", "part", "seen", "kept"} < {table.name for table in found}
            transaction.set_rollback(True)
