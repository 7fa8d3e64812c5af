"""Write a tenant into a file: its schema, rows, members, domains and uploads at one moment."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile

from django.db import connection
from django.db.backends.postgresql.psycopg_any import is_psycopg3
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context

from tenancy import hosts
from tenancy.concrete import Tenant
from tenancy.copies.archive import AFTER, BEFORE, FILES, FORMAT, HEADER, rows_of
from tenancy.copies.consistent import consistent_read, quote_table, sequences_of, tables_of
from tenancy.copies.fields import export_digests, export_fields
from tenancy.copies.prefetch import PrefetchedDumps
from tenancy.copies.references import export_keys, key_of
from tenancy.exceptions import CopyError
from tenancy.schemas.uploads import uploads_of
from tenancy.states import fetch_for, log_event, new_event


def backup(
    tenant: Tenant,
    path: str | Path,
    by: str,
    *,
    overwrite: bool = False,
    dumped: PrefetchedDumps | None = None,
) -> Path:
    """Write an active, suspended or deleted tenant into a file; return its path.

    Only the file's owner can read it. It gets its name when it is complete. Credentials are left
    out. `dumped` has the statements of several tenants, to save time. Raises IllegalTransition, and
    CopyError, also if the file exists and `overwrite` is False.
    """
    path = Path(path).absolute()
    with schema_context(get_public_schema_name()):
        tenant = fetch_for("back up", tenant)
        with (
            new_file(path, overwrite) as file,
            ZipFile(file, "w", ZIP_DEFLATED, strict_timestamps=False) as archive,
            consistent_read("back up", tenant, dumped) as parts,
        ):
            header = describe(tenant)
            for name, statements in zip((BEFORE, AFTER), parts, strict=True):
                archive.writestr(name, "\n".join(statements))
            for number, table in enumerate(header["tables"]):
                with archive.open(rows_of(number), "w", force_zip64=True) as rows:
                    copy_out(f"COPY {table_name(tenant.schema_name, *table)} TO STDOUT", rows)
            add_files(archive, tenant.schema_name)
            # Last: some damage to a zip's index goes unnoticed, and only drops the last entry.
            archive.writestr(HEADER, json.dumps(header, indent=1))
            log_event(new_event("back up", tenant, by, path.name), tenant)
    return path


@contextmanager
def new_file(path: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """Yield a file that gets its name once the block has succeeded. Raises CopyError."""
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
                else:  # fails if another process was faster
                    path.hardlink_to(half)
            finally:
                half.unlink(missing_ok=True)
    except OSError as error:
        raise CopyError(f"“{path}” can't be written: {error.strerror or error}.") from error


def describe(tenant: Tenant) -> dict:
    """Return the header: all but the statements, the rows and the uploads."""
    with schema_context(tenant.schema_name):
        applied = sorted(MigrationRecorder(connection).applied_migrations())
    return {
        "minimum": FORMAT,  # to read it
        "made": timezone.now().isoformat(timespec="seconds"),
        "postgresql": connection.pg_version // 10000,
        "name": tenant.name,
        "slug": tenant.slug,
        "host": hosts.host_of(tenant.slug),
        "schema_name": tenant.schema_name,
        "fields": export_fields(tenant, tenant),
        "organization": tenant.organization.name,
        "organization_fields": export_fields(tenant.organization, tenant),
        "owner": key_of(tenant.owner, tenant)[0],
        "members": [
            {"person": key_of(member, tenant), "fields": export_fields(member, tenant)}
            for member in tenant.user_set.order_by("pk")
        ],
        "domains": [
            {
                "host": row.domain,
                "is_primary": row.is_primary,
                "redirects": row.redirects,
                "fields": export_fields(row, tenant),
            }
            for row in tenant.domains.order_by("pk")
        ],
        "migrations": applied,
        "digests": export_digests(
            [tenant, tenant.organization, *tenant.user_set.all(), *tenant.domains.all()]
        ),
        "references": export_keys(tenant),
        "tables": [[table, columns] for table, columns, _ in tables_of(tenant.schema_name)],
        "sequences": sequences_of(tenant.schema_name),
    }


def table_name(schema_name: str, table: str, columns: list[str]) -> str:
    """Return the table with its columns, in the syntax of COPY."""
    return f"{quote_table(schema_name, table)} ({', '.join(map(quote_schema_name, columns))})"


def copy_out(sql: str, file: BinaryIO) -> None:
    with connection.cursor() as cursor, connection.wrap_database_errors:
        if is_psycopg3:
            with cursor.copy(sql) as rows:
                for some in rows:
                    file.write(some)
        else:
            cursor.copy_expert(sql, file)


def add_files(archive: ZipFile, schema_name: str) -> None:
    uploads = uploads_of(schema_name)
    for name in uploads.names():
        with (
            suppress(FileNotFoundError),  # a tenant in use has deleted it meanwhile
            uploads.open(name) as file,
            archive.open(f"{FILES}{name}", "w", force_zip64=True) as entry,
        ):
            shutil.copyfileobj(file, entry)
