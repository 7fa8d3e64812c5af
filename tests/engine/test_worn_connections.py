"""A connection that has been to many schemas ends, so that its server process stays small.

These tests commit, and so they write nothing.
"""

import contextlib

import pytest
from django.db import connection, transaction
from server.tenants.models import Tenant
from tenancy.database.prepared import PreparedQuery
from tenancy.lifecycle import provisioning
from tenancy.locks import advisory_lock

FEW = 4


@pytest.fixture(autouse=True)
def few_schemas(committed_db, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_SCHEMAS", FEW)
    connection.close()
    yield
    connection.close()


def visit(number, start=0):
    """Enter so many schemas; return the server processes that were met there."""
    processes = []
    for at in range(start, start + number):
        connection.set_schema(f"schema_{at}")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            processes.append(cursor.fetchone()[0])
    return processes


def test_a_connection_may_end_after_each_schema(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_SCHEMAS", 1)
    assert len({*visit(4)}) == 4


def test_a_connection_ends_after_so_many_schemas():
    """R16: a tenant took 28 ms on a new connection, and 192 ms after 2,500 others on the same."""
    assert len({*visit(10 * FEW)}) == 10


def test_the_same_few_schemas_need_no_new_connection():
    """R16: the requests of few hosts pay nothing."""
    assert len({process for _ in range(10) for process in visit(FEW - 1)}) == 1


def test_no_transaction_is_ended():
    """R16"""
    with transaction.atomic():
        before = visit(3 * FEW)
    after = visit(1)

    assert len({*before}) == 1
    assert after[0] not in before


@contextlib.contextmanager
def unread_rows():
    with connection.cursor() as cursor:
        cursor.execute("SELECT generate_series(1, 1000)")
        yield
        assert len(cursor.fetchall()) == 1000


@contextlib.contextmanager
def loop():
    connection.set_schema_to_public()
    tenants = Tenant.objects.iterator(chunk_size=1)
    found = [next(tenants)]
    yield
    assert len([*found, *tenants]) == Tenant.objects.count()


@contextlib.contextmanager
def settings_of_the_session():
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 12345")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone()[0] == "12345ms"
        cursor.execute("RESET statement_timeout")


@contextlib.contextmanager
def temporary_table():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE kept (id int)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE pg_temp.kept")


@contextlib.contextmanager
def listener():
    with connection.cursor() as cursor:
        cursor.execute("LISTEN own")
        yield
        cursor.execute("UNLISTEN own")


def test_a_loop_that_locks_in_each_tenant_gets_rid_of_its_connection_in_between():
    """R16: making a tenant holds a lock from before its schema is entered until after."""
    processes = []
    for at in range(5 * FEW):
        connection.close_if_worn()
        with lock():
            processes += visit(1, start=at)

    assert len({*processes}) > 2


def test_making_tenants_wears_a_connection_sooner(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_SCHEMAS", 100)
    monkeypatch.setattr(provisioning, "MAX_SCHEMAS", FEW)
    before = visit(FEW)
    with provisioning.making("fresh"):
        after = visit(1)

    assert len({*before}) == 1
    assert after[0] not in before


def lock():
    return advisory_lock("a test", connection=connection)


@pytest.mark.parametrize(
    "keep", [unread_rows, loop, settings_of_the_session, temporary_table, listener, lock]
)
def test_nothing_is_lost_that_the_session_keeps(keep):
    """R16"""
    with keep():
        before = visit(2 * FEW)
        assert len({*before}) == 1
    after = visit(2 * FEW, start=100)

    assert after[-1] not in before


def test_a_plan_of_ours_keeps_no_connection():
    before = visit(1)
    PreparedQuery("test_one", "SELECT %s::int").fetch_one(connection, 1)
    after = visit(2 * FEW, start=1)

    assert after[-1] not in before
