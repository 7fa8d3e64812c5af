"""A connection is in the current tenant's schema, whatever became of its transactions.

These tests commit, and so they write nothing.
"""

import contextlib
import io
import threading
from unittest import mock

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.signals import request_finished
from django.db import DatabaseError, connection, connections, reset_queries, transaction
from django.db.backends.postgresql.psycopg_any import is_psycopg3, sql
from django_tenants.postgresql_backend import base
from django_tenants.postgresql_backend.base import original_backend
from django_tenants.postgresql_backend.introspection import DatabaseSchemaIntrospection
from django_tenants.utils import schema_context, tenant_context
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy.database.base import DatabaseWrapper
from tenancy.exceptions import WrongTenant

from engine.statements import driver_cursor, record, use_for_all

if is_psycopg3:
    import psycopg
else:
    import psycopg2.extras

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
        use_for_all(Interrupting)
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


@pytest.fixture
def marks(first, other):
    """A table in both schemas, whose row has the schema's name."""
    for tenant in (first, other):
        with tenant, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE mark AS SELECT current_schema() AS name")
    yield
    for tenant in (first, other):
        with tenant, connection.cursor() as cursor:
            cursor.execute("DROP TABLE mark")


def execute(cursor):
    cursor.execute("SELECT name FROM mark")
    return cursor.fetchone()[0]


def execute_many(cursor):
    cursor.executemany("INSERT INTO mark VALUES (%s)", [["more"]])
    return with_one_more(cursor)


def with_one_more(cursor):
    """The name, if the statement before has added a row to the same table."""
    cursor.execute("DELETE FROM mark WHERE name = 'more'")
    return execute(cursor) if cursor.rowcount == 1 else None


def call(cursor):
    cursor.callproc("current_schema")
    return cursor.fetchone()[0]


def execute_values(cursor):
    if is_psycopg3:
        return execute(cursor)
    template = "SELECT mark.name FROM mark, (VALUES %s) v"
    return psycopg2.extras.execute_values(cursor, template, [(1,)], fetch=True)[0][0]


def copy(cursor):
    if is_psycopg3:
        with cursor.copy("COPY mark TO STDOUT") as rows:
            (row,) = rows.rows()
            return row[0]
    output = io.StringIO()
    cursor.copy_expert("COPY mark TO STDOUT", output)
    return output.getvalue().strip()


def copy_table(cursor):
    if is_psycopg3:
        return copy(cursor)
    output = io.StringIO()
    cursor.copy_to(output, "mark")
    return output.getvalue().strip()


def copy_into(cursor):
    if is_psycopg3:
        with cursor.copy("COPY mark FROM STDIN") as rows:
            rows.write_row(["more"])
    else:
        cursor.copy_from(io.StringIO("more\n"), "mark")
    return with_one_more(cursor)


def stream(cursor):
    if not is_psycopg3:
        return execute(cursor)
    (row,) = cursor.stream("SELECT name FROM mark")
    return row[0]


SENDERS = [execute, execute_many, call, execute_values, copy, copy_table, copy_into, stream]
CURSORS = [
    lambda: connection.cursor(),
    lambda: connection.connection.cursor(),  # the driver's own
]


def other_cursor_class():
    """Return the driver's own cursor, in the way in which the driver makes it return other rows."""
    if is_psycopg3:
        return connection.connection.cursor(row_factory=psycopg.rows.namedtuple_row)
    return connection.connection.cursor(cursor_factory=psycopg2.extras.DictCursor)


@pytest.fixture(params=[*CURSORS, other_cursor_class])
def cursor(request, committed_db):
    connection.ensure_connection()
    with request.param() as cursor:
        yield cursor


@pytest.mark.parametrize("send", SENDERS)
def test_a_cursor_that_is_kept_follows_the_tenant(first, other, marks, cursor, send):
    """I3: COPY on a cursor from before a switch used the tenant of before."""
    for tenant in (first, other, first):
        with tenant:
            assert send(cursor) == tenant.schema_name


@pytest.mark.parametrize("send", SENDERS)
@pytest.mark.parametrize("savepoint", [True, False])
def test_a_cursor_that_is_kept_survives_a_rollback(first, other, marks, cursor, send, savepoint):
    """I3: after a rollback, a cursor from before it was in another tenant."""
    connection.set_tenant(first)
    assert send(cursor) == first.schema_name
    with transaction.atomic() if savepoint else contextlib.nullcontext():
        with contextlib.suppress(Interrupted), transaction.atomic():
            connection.set_tenant(other)
            assert send(cursor) == other.schema_name
            raise Interrupted
        assert send(cursor) == other.schema_name
        connection.set_tenant(first)
        assert send(cursor) == first.schema_name


@pytest.mark.parametrize(
    "make", [lambda: connection.chunked_cursor(), lambda: connection.connection.cursor("own")]
)
def test_a_server_side_cursor_reads_where_it_sends_its_query(first, other, marks, make):
    """I3"""
    with first, transaction.atomic():
        cursor = make()
        with other:
            cursor.execute("SELECT name FROM mark")
        assert cursor.fetchone()[0] == other.schema_name
        cursor.close()


def test_rows_that_are_fetched_later_are_of_the_tenant_of_the_query(first, other):
    """I3: the objects of a server-side cursor know where they came from."""
    with first, transaction.atomic():
        for text in ("one", "two"):
            Note.objects.create(text=text, author=first.owner)
        notes = Note.objects.iterator(chunk_size=1)
        next(notes)
        with other:
            note = next(notes)
            with pytest.raises(WrongTenant):
                note.save()
        notes.close()
        transaction.set_rollback(True)


def test_a_search_path_set_by_a_composed_statement_is_noticed(first):
    """I3: the driver's own SQL objects, and bytes, may set it too."""
    statements = [
        b"SET search_path = public",
        sql.SQL("SET search_path = {}").format(sql.Identifier("public")),
    ]
    with first:
        for statement in statements:
            with connection.cursor() as cursor:
                cursor.execute(statement)
            assert in_force() == first.schema_name


if is_psycopg3:  # psycopg2 has no pipelines

    def test_a_pipeline_is_in_the_current_tenant(first, other, marks):
        """I3"""
        connection.ensure_connection()
        with first, connection.connection.pipeline():
            cursors = [connection.cursor() for _ in range(4)]
            for cursor, tenant in zip(cursors, (first, other, first, first), strict=True):
                with tenant:
                    cursor.execute("SELECT name FROM mark")
            cursors[2].cursor.execute("SET search_path = public")
            cursors[3].execute("SELECT name FROM mark")
            seen = [cursors[at].fetchone()[0] for at in (0, 1, 3)]

        assert seen == [first.schema_name, other.schema_name, first.schema_name]


@pytest.mark.parametrize("send", [copy, execute])
def test_what_a_cursor_sends_is_logged(first, marks, settings, send):
    """R21: COPY was missing in `connection.queries`."""
    settings.DEBUG = True
    reset_queries()
    with first, connection.cursor() as cursor:
        send(cursor)

    assert any("mark" in query["sql"] for query in connection.queries)


def test_autocommit_can_be_off(first, other, marks):
    """R21: with AUTOCOMMIT = False no connection could be opened."""
    own = connection.copy()
    own.settings_dict["AUTOCOMMIT"] = False
    try:
        for tenant in (first, other):
            with tenant, own.cursor() as cursor:
                assert execute(cursor) == tenant.schema_name
                own.rollback()
                assert execute(cursor) == tenant.schema_name
    finally:
        own.close()


def assert_in(schema_name):
    assert in_force() == connection.schema_name == connection.tenant.schema_name == schema_name


def test_an_assigned_name_changes_the_search_path(first, other):
    """I10: it changed the name alone."""
    connection.schema_name = first.schema_name
    assert_in(first.schema_name)
    connection.tenant = other
    assert_in(other.schema_name)
    connection.include_public_schema = False
    assert_in(other.schema_name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('tenants_tenant')")
        assert cursor.fetchone() == (None,)


@pytest.mark.parametrize("patch", ["mock", "monkeypatch"])
@pytest.mark.parametrize("attribute", ["schema_name", "tenant", "include_public_schema"])
def test_a_patched_attribute_leaves_nothing_behind(first, other, patch, attribute, monkeypatch):
    """I10: mock.patch.object left the name of the other tenant."""
    values = {
        "schema_name": other.schema_name,
        "tenant": other,
        "include_public_schema": False,
    }
    with first:
        if patch == "mock":
            with mock.patch.object(connection, attribute, values[attribute]):
                assert getattr(connection, attribute) == values[attribute]
                assert_in(connection.schema_name)
        else:
            with monkeypatch.context() as patched:
                patched.setattr(connection, attribute, values[attribute])
                assert_in(connection.schema_name)
        assert_in(first.schema_name)
        assert connection.tenant is first
        assert connection.include_public_schema


@pytest.mark.parametrize("name", ["x'y", "", "pg_catalog", None, 7])
def test_a_refused_name_changes_nothing(first, name):
    """I10: set_schema() raised after it had changed tenant and name."""
    with first:
        with pytest.raises((ValidationError, TypeError)):
            connection.set_schema(name)
        assert_in(first.schema_name)
        if name is not None:
            with pytest.raises((ValidationError, TypeError)):
                connection.schema_name = name
            assert_in(first.schema_name)


def test_a_hook_that_fails_changes_nothing(first, other, monkeypatch):
    """I10"""

    def fail(wrapper, tenant):
        if tenant == other:
            raise Interrupted

    with first:
        monkeypatch.setattr(base, "EXTRA_SET_TENANT_METHOD", fail)
        with pytest.raises(Interrupted):
            connection.set_tenant(other)
        assert_in(first.schema_name)


def test_no_query_runs_in_no_tenant(first):
    """I10"""
    connection.tenant = None
    assert connection.schema_name is None
    with pytest.raises(ImproperlyConfigured, match="set_tenant"):
        in_force()


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

            with connection.in_schema_alone():
                django = super(DatabaseSchemaIntrospection, connection.introspection)
                assert {*found} == {*django.get_table_list(cursor)}
            assert {"Parted", "part", "seen", "kept"} < {table.name for table in found}
            transaction.set_rollback(True)
