"""Bring the rows of one table back out of a tenant's archive."""

from pathlib import Path

from django.db import connection, transaction
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context

from tenancy.concrete import Tenant
from tenancy.copies.archive import opened, rows_of
from tenancy.copies.backups import table_name
from tenancy.copies.consistent import EXACT, quote_table
from tenancy.copies.everything import schema_now
from tenancy.copies.restoring import copy_in
from tenancy.exceptions import CopyError
from tenancy.history import record
from tenancy.isolation.credentials import left_behind
from tenancy.states import fetch_for

PRIMARY_KEY = """
    SELECT array_agg(attname::text ORDER BY attnum) FROM pg_index
    JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
    WHERE indisprimary AND indrelid = to_regclass(%s)
"""


def restore_rows(
    tenant: Tenant, path: str | Path, table: str, by: str, *, overwrite: bool = False
) -> int:
    """Add the archive's rows of the table that the tenant lacks; return how many were written.

    With `overwrite`, rows that are there get the archive's values, too. Rows that were added since
    stay. Only an archive of this tenant will do: ids in it are those of this database. Raises
    CopyError, also if the rows refer to others that are missing, and IllegalTransition.
    """
    with schema_context(get_public_schema_name()), opened(Path(path)) as backup:
        tenant = fetch_for("enter", tenant)
        header, own = backup.header, tenant.schema_name
        if schema_now(header["schema_name"]) != own:
            raise CopyError(f"The archive is of {header['schema_name']}, not of {own}.")
        tables = {
            name: (number, columns) for number, (name, columns) in enumerate(header["tables"])
        }
        if table not in tables or table in left_behind().tables:
            raise CopyError(f"The archive has no table “{table}”. It has: {', '.join(tables)}.")
        number, columns = tables[table]
        target, names = quote_table(own, table), ", ".join(map(quote_schema_name, columns))
        with tenant, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(EXACT)
            cursor.execute(f"CREATE TEMPORARY TABLE restored (LIKE {target}) ON COMMIT DROP")
            with backup.archive.open(rows_of(number)) as rows:
                copy = table_name("pg_temp", "restored", columns)
                copy_in(cursor, f"COPY {copy} FROM STDIN", rows)
            conflict = on_conflict(cursor, target, columns) if overwrite else "DO NOTHING"
            # Citus counts also those that a conflict keeps out, unless they have to come back.
            cursor.execute(
                f"WITH written AS (INSERT INTO {target} ({names}) OVERRIDING SYSTEM VALUE"  # noqa: S608
                f" SELECT {names} FROM pg_temp.restored ON CONFLICT {conflict} RETURNING 1)"
                " SELECT count(*) FROM written"
            )
            (written,) = cursor.fetchone()
            with schema_context(get_public_schema_name()):
                record("restore rows", tenant, by, after=f"{table}: {written}")
    return written


def on_conflict(cursor, target: str, columns: list[str]) -> str:
    cursor.execute(PRIMARY_KEY, [target])
    (key,) = cursor.fetchone()
    if not key:
        raise CopyError("The table has no primary key, so no row can be told from another.")
    values = ", ".join(
        f"{quote_schema_name(name)} = EXCLUDED.{quote_schema_name(name)}"
        for name in columns
        if name not in key
    )
    keys = ", ".join(map(quote_schema_name, key))
    return f"({keys}) DO UPDATE SET {values}" if values else "DO NOTHING"
