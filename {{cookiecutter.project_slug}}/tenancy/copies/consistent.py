"""Read a tenant at one moment while others write to it, and steps that clone and restore share."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import connection
from django_tenants.utils import quote_schema_name
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import tenant_user_added

from tenancy import roles
from tenancy.concrete import Tenant, User, added_fields
from tenancy.copies.prefetch import PrefetchedDumps
from tenancy.database import citus
from tenancy.exceptions import CopyError, DumpFailed
from tenancy.isolation.credentials import left_behind
from tenancy.people.members import grant
from tenancy.schemas import dump
from tenancy.states import fetch_for

# Each table that has rows itself (a partitioned table's rows are in its partitions), its columns,
# and their types where these are the schema's own, such as an enum.
TABLES = """
    SELECT relname, array_agg(attname::text ORDER BY attnum), array_agg(
        CASE typnamespace WHEN relnamespace THEN format_type(atttypid, atttypmod) END
        ORDER BY attnum
    )
    FROM pg_class
    JOIN pg_attribute ON attrelid = pg_class.oid
    JOIN pg_type ON pg_type.oid = atttypid
    WHERE relkind = 'r' AND relnamespace = to_regnamespace(%s) AND relname <> ALL(%s)
        AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        AND (relname::text, attname::text) NOT IN (SELECT * FROM unnest(%s::text[], %s::text[]))
    GROUP BY relname ORDER BY relname
"""
READ_SEQUENCES = """
    SELECT format('SELECT %%L, last_value, is_called FROM %%s.%%I', relname, %(own)s, relname)
    FROM pg_class WHERE relkind = 'S' AND relnamespace = to_regnamespace(%(own)s) ORDER BY relname
"""
SET_SEQUENCES = """
    SELECT setval(format('%%I.%%I', %s, name)::regclass, last_value, is_called)
    FROM unnest(%s::text[], %s::bigint[], %s::bool[]) AS sequence (name, last_value, is_called)
"""
# With these settings a value survives the way through text. A row that a policy hides is an error.
EXACT = """
    SET LOCAL datestyle = ISO; SET LOCAL intervalstyle = postgres;
    SET LOCAL extra_float_digits = 1; SET LOCAL row_security = off;
"""


@contextmanager
def snapshot(action: str, tenant: Tenant) -> Iterator[str]:
    """Begin a transaction that sees the tenant at one moment; yield the name of its snapshot.

    Others can write meanwhile. A migration of the tenant waits. Raises IllegalTransition, and
    CopyError if the schema has no tables, or if the tenant's row was changed since it was read.
    """
    own = quote_schema_name(tenant.schema_name)
    tables = [quote_table(tenant.schema_name, name) for name, *_ in tables_of(tenant.schema_name)]
    if not tables:
        raise CopyError(f"The schema {tenant.schema_name} of “{tenant.slug}” has no tables.")
    # The locks come before the snapshot: a table that is rewritten after it would look empty.
    # A migration holds the first lock from beginning to end. Taken in another order, the two could
    # wait for each other.
    locks = [
        f"LOCK TABLE {own}.django_migrations IN SHARE MODE",
        f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE",
    ]
    with citus.begin_after(locks, tables[0]), connection.cursor() as cursor:
        cursor.execute(EXACT)
        cursor.execute("SELECT pg_export_snapshot()")
        (name,) = cursor.fetchone()
        row = fetch_for(action, tenant)
        if copied_values(row) != copied_values(tenant):
            raise CopyError(f"“{tenant.slug}” was changed meanwhile: run it again.")
        yield name


@contextmanager
def consistent_read(
    action: str, tenant: Tenant, dumped: PrefetchedDumps | None = None
) -> Iterator[dump.Parts]:
    """Begin a `snapshot`; yield its `dump_around_rows`, from `dumped` if that has them.

    Raises CopyError also if pg_dump fails.
    """
    with snapshot(action, tenant) as name:
        try:
            parts = dumped and dumped.take(tenant.schema_name)
            parts = parts or dump.dump_around_rows(tenant.schema_name, name)
        except DumpFailed as error:
            raise CopyError(f"“{tenant.slug}” can't be dumped. {error}") from error
        yield parts


def copied_values(tenant: Tenant) -> list:
    """Return what a copy takes over from the tenant's row."""
    names = ["name", "slug", "owner_id", *(field.attname for field in added_fields(Tenant))]
    return [getattr(tenant, name) for name in names]


def tables_of(schema_name: str) -> list[tuple[str, list[str], list[str | None]]]:
    """Return the tables to copy, as TABLES selects them.

    Credentials are left out, and so are the columns that refer to them, which become NULL.
    """
    tables, columns = left_behind()
    pairs = [[pair[at] for pair in columns] for at in (0, 1)]
    with connection.cursor() as cursor:
        cursor.execute(TABLES, [quote_schema_name(schema_name), [*tables], *pairs])
        return cursor.fetchall()


def quote_table(schema_name: str, table: str) -> str:
    return f"{quote_schema_name(schema_name)}.{quote_schema_name(table)}"


def sequences_of(schema_name: str) -> list[tuple[str, int, bool]]:
    """Return name, last value and `is_called` of each sequence."""
    with connection.cursor() as cursor:
        cursor.execute(READ_SEQUENCES, {"own": quote_schema_name(schema_name)})
        selects = [select for (select,) in cursor]
        cursor.execute(" UNION ALL ".join(selects) or "SELECT WHERE false")
        return cursor.fetchall()


def set_sequences(schema_name: str, sequences: list) -> None:
    with connection.cursor() as cursor:
        columns = [[sequence[index] for sequence in sequences] for index in range(3)]
        cursor.execute(SET_SEQUENCES, [schema_name, *columns])


def run(statements: Iterable[str], old: str, new: str) -> None:
    """Run the statements in one round trip, in the schema `new` where they name `old`."""
    renamed = [dump.rename(statement, old, new) for statement in statements]
    with connection.cursor() as cursor:
        # A function may use a later object.
        for message in citus.messages(["SET LOCAL check_function_bodies = off;", *renamed]):
            cursor.execute(message)


def grant_memberships(tenant: Tenant, members: Iterable[User], old_owner: User | None) -> None:
    """Add `members`, whose permission rows are already in the copied schema.

    The tenant's owner gets full rights. People who were deactivated meanwhile are skipped.
    """
    UserTenantPermissions.objects.filter(profile__is_active=False).delete()
    members = {member for member in members if member.is_active_anywhere}
    tenant.user_set.add(*members)
    for member in members:
        tenant_user_added.send_robust(sender=Tenant, user=member, tenant=tenant)
    if tenant.owner != old_owner:
        if old_owner in members:
            grant(tenant, old_owner, roles.MEMBER)
        grant(tenant, tenant.owner, roles.OWNER)
