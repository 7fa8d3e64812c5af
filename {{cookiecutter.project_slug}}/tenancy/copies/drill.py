"""Prove that an archive can be restored, without a trace.

The tables are made and filled in a scratch schema, in a transaction that is rolled back. So nobody
sees it, no receiver is called, no e-mail is sent, and no task runs.
"""

import secrets
from pathlib import Path
from typing import NamedTuple

from django.db import connection, transaction
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy.copies.archive import Backup, opened, rows_of
from tenancy.copies.consistent import quote_table, run
from tenancy.copies.restoring import compare_migrations, load_tables
from tenancy.exceptions import CopyError
from tenancy.isolation.credentials import left_behind


class Rehearsal(NamedTuple):
    made: str  # when the archive was made
    tables: int
    rows: int
    uploads: int


def rehearse(path: str | Path) -> Rehearsal:
    """Restore an archive and compare the rows of each table with those in the file.

    An archive of older code isn't migrated. Raises CopyError if it is damaged, of newer code, or if
    it restores to other rows.
    """
    schema_name = f"drill_{secrets.token_hex(4)}"
    with schema_context(get_public_schema_name()), opened(Path(path)) as backup:
        compare_migrations(backup.header["migrations"])
        with schema_context(schema_name), transaction.atomic(durable=True):
            load_tables(backup, schema_name)
            total = compare_rows(backup, schema_name)
            run(backup.after, backup.header["schema_name"], schema_name)
            transaction.set_rollback(True)
        header = backup.header
        return Rehearsal(header["made"], len(header["tables"]), total, len(backup.files))


def compare_rows(backup: Backup, schema_name: str) -> int:
    """Return how many rows were restored."""
    total, left = 0, left_behind().tables
    with connection.cursor() as cursor:
        for number, (table, _) in enumerate(backup.header["tables"]):
            if table in left:
                continue
            with backup.archive.open(rows_of(number)) as rows:
                expected = sum(1 for _ in rows)  # COPY writes a line break in a value as \n
            cursor.execute(f"SELECT count(*) FROM ONLY {quote_table(schema_name, table)}")  # noqa: S608
            (found,) = cursor.fetchone()
            if found != expected:
                raise CopyError(f"{table} has {found} rows; the archive has {expected}.")
            total += found
    return total
