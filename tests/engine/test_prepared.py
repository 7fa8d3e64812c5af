"""Queries that are planned once a connection."""

import pytest
from django.db import connection, transaction
from server.tenants.models import Tenant
from tenancy.database.prepared import PreparedQuery

from engine import statements

MARK = PreparedQuery("test_mark", "SELECT name FROM mark WHERE name <> %s")
KEPT = PreparedQuery("test_kept", "SELECT kept FROM kept WHERE id = %s")


@pytest.fixture(autouse=True)
def new_connection(committed_db):
    connection.close()
    yield
    connection.close()


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def schemas():
    """With a table in each, whose row has the schema's name."""
    names = [
        "public",
        *Tenant.objects.exclude(schema_name="public").values_list("schema_name", flat=True),
    ]
    for name in names:
        execute(f"CREATE TABLE \"{name}\".mark AS SELECT text '{name}' AS name")
    yield names
    for name in names:
        execute(f'DROP TABLE "{name}".mark')


def test_a_plan_is_made_once_and_reads_the_current_tenants_tables(schemas):
    seen = statements.record()
    found = []
    for schema in schemas * 10:  # after some calls PostgreSQL keeps a plan for all parameters
        connection.set_schema(schema)
        found += MARK.fetch_one(connection, "none")

    assert len({*found}) > 2
    assert found == schemas * 10
    assert len([sql for sql in seen if sql.startswith("PREPARE tenancy_test_mark")]) == 1


@pytest.mark.parametrize(
    "change",
    [
        "DISCARD ALL",
        "DEALLOCATE ALL",
        "ALTER TABLE kept ALTER kept TYPE text",
    ],
)
def test_a_query_survives_the_end_of_its_plan(change):
    execute("CREATE UNLOGGED TABLE kept AS SELECT 1 AS id, 5 AS kept")
    try:
        before = KEPT.fetch_one(connection, 1)
        execute(change)
        after = [KEPT.fetch_one(connection, 1) for _ in range(2)]
    finally:
        execute("DROP TABLE kept")

    assert before == (5,)
    assert [str(*row) for row in after] == ["5", "5"]


def test_another_users_statement_of_the_name_is_not_taken():
    """A pooler may hand on a server's process without a reset."""
    execute("PREPARE tenancy_test_one AS SELECT 5")
    query = PreparedQuery("test_one", "SELECT %s::int")

    assert [query.fetch_one(connection, 1) for _ in range(2)] == [(1,), (1,)]


def test_a_stale_plan_ends_no_transaction():
    execute("CREATE UNLOGGED TABLE kept AS SELECT 1 AS id, 5 AS kept")
    try:
        KEPT.fetch_one(connection, 1)
        with transaction.atomic():
            execute("ALTER TABLE kept ALTER kept TYPE text")
            assert KEPT.fetch_one(connection, 1) == ("5",)
    finally:
        execute("DROP TABLE kept")
