"""One tenant in one file: its schema, rows, members, domains and uploads at one moment."""

import json
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile

import django
from django.db import connection
from django.db.backends.postgresql.psycopg_any import is_psycopg3
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context

from tenancy import hosts
from tenancy.concrete import Tenant
from tenancy.copies.archive import AFTER, BEFORE, FILES, FORMAT, rows_of
from tenancy.copies.consistent import consistent_read, left_out
from tenancy.copies.fields import export_fields
from tenancy.copies.references import export_keys, key_of
from tenancy.exceptions import CopyError, DumpFailed
from tenancy.schemas import dump
from tenancy.schemas.uploads import folder_of
from tenancy.states import fetch_for, log_event, new_event

logger = logging.getLogger(__name__)

COLUMNS = """
    SELECT relname, array_agg(attname::text ORDER BY attnum)
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relkind = 'r' AND relnamespace = to_regnamespace(%s)
        AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND relname <> ALL(%s)
    GROUP BY relname ORDER BY relname
"""
SEQUENCES = """
    SELECT format('SELECT %%L, last_value, is_called FROM %%s.%%I', relname, %(own)s, relname)
    FROM pg_class WHERE relkind = 'S' AND relnamespace = to_regnamespace(%(own)s) ORDER BY relname
"""


def backup(tenant: Tenant, path: str | Path, by: str, *, overwrite: bool = False) -> Path:
    """Write an active, suspended or deleted tenant into a file; return its path.

    Only the file's owner can read it. It gets its name when it is complete. Sessions are left out.
    Raises IllegalTransition, and CopyError, also if the file exists and `overwrite` is False.
    """
    path = Path(path).absolute()
    with schema_context(get_public_schema_name()):
        tenant = fetch_for("back up", tenant)
        with (
            new_file(path, overwrite) as file,
            ZipFile(file, "w", ZIP_DEFLATED, strict_timestamps=False) as archive,
            consistent_read("back up", tenant) as moment,
        ):
            try:
                parts = dump.dump_around_rows(tenant.schema_name, moment)
            except DumpFailed as error:
                raise CopyError(f"“{tenant.slug}” can't be written down. {error}") from error
            header = describe(tenant)
            archive.writestr("header.json", json.dumps(header, indent=1))
            for name, statements in zip((BEFORE, AFTER), parts, strict=True):
                archive.writestr(name, "\n".join(statements))
            for number, table in enumerate(header["tables"]):
                with archive.open(rows_of(number), "w", force_zip64=True) as rows:
                    copy_out(f"COPY {table_name(tenant.schema_name, *table)} TO STDOUT", rows)
            add_files(archive, tenant.schema_name)
            log_event(new_event("back up", tenant, by, path.name), tenant)
    return path


@contextmanager
def new_file(path: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """One that gets its name when the block has ended well. Raises CopyError."""
    try:
        if path.is_dir() or (path.exists() and not overwrite):
            raise FileExistsError("it is there already")
        half = path.with_name(f".{path.name[:50]}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(half, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if overwrite:
                    half.replace(path)
                else:  # which fails where another was quicker
                    path.hardlink_to(half)
            finally:
                half.unlink(missing_ok=True)
    except OSError as error:
        raise CopyError(f"“{path}” can't be written: {error.strerror or error}.") from error


def describe(tenant: Tenant) -> dict:
    """What `archive.SHAPE` names."""
    own = quote_schema_name(tenant.schema_name)
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, [own, left_out()])
        tables = cursor.fetchall()
        cursor.execute(SEQUENCES, {"own": own})
        values = " UNION ALL ".join(statement for (statement,) in cursor) or "SELECT WHERE false"
        cursor.execute(values)
        sequences = cursor.fetchall()
    with schema_context(tenant.schema_name):
        applied = sorted(MigrationRecorder(connection).applied_migrations())
    domains = tenant.domains.order_by("pk").values_list("domain", "is_primary", "redirects")
    return {
        "format": FORMAT,
        "minimum": FORMAT,
        "made": timezone.now().isoformat(timespec="seconds"),
        "django": django.get_version(),
        "postgresql": connection.pg_version // 10000,
        "name": tenant.name,
        "slug": tenant.slug,
        "host": hosts.host_of(tenant.slug),
        "schema_name": tenant.schema_name,
        "organization": tenant.organization.name,
        "fields": export_fields(tenant, tenant),
        "organization_fields": export_fields(tenant.organization, tenant),
        "domain_fields": {row.domain: export_fields(row, tenant) for row in tenant.domains.all()},
        "people_fields": {
            person.email: export_fields(person, tenant)
            for person in [tenant.owner, *tenant.user_set.all()]
        },
        "owner": key_of(tenant.owner, tenant),
        "members": [key_of(member, tenant) for member in tenant.user_set.order_by("pk")],
        "domains": [*domains],
        "migrations": applied,
        "references": export_keys(tenant),
        "tables": tables,
        "sequences": sequences,
    }


def table_name(schema_name: str, table: str, columns: list[str]) -> str:
    """As COPY takes it."""
    table = f"{quote_schema_name(schema_name)}.{quote_schema_name(table)}"
    return f"{table} ({', '.join(map(quote_schema_name, columns))})"


def copy_out(sql: str, file: BinaryIO) -> None:
    with connection.cursor() as cursor, connection.wrap_database_errors:
        if is_psycopg3:
            with cursor.copy(sql) as rows:
                for some in rows:
                    file.write(some)
        else:
            cursor.copy_expert(sql, file)


def add_files(archive: ZipFile, schema_name: str) -> None:
    folder = folder_of(schema_name)
    if folder is None:
        logger.warning("The storage has no folders: its uploads are not in the backup.")
        return
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with suppress(FileNotFoundError):  # a tenant in use has deleted it meanwhile
            archive.write(file, f"{FILES}{file.relative_to(folder).as_posix()}")
