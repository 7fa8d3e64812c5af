"""Make a tenant from a backup."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from django.db import connection, transaction
from django.db.backends.postgresql.psycopg_any import is_psycopg3
from django.db.migrations.loader import MigrationLoader
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions

from tenancy import hosts, roles
from tenancy.concrete import Domain, Organization, Tenant, User
from tenancy.copies import consistent
from tenancy.copies.archive import FILES, Backup, opened, rows_of
from tenancy.copies.backups import table_name
from tenancy.copies.consistent import EXACT, quote_table, run, set_sequences
from tenancy.copies.fields import import_fields
from tenancy.copies.references import create_person, find_person, translate
from tenancy.database import citus
from tenancy.exceptions import OtherMigrations, UnknownUser
from tenancy.isolation.credentials import left_behind
from tenancy.isolation.router import tenant_app_labels
from tenancy.lifecycle.provisioning import Recipe, provision_by
from tenancy.lifecycle.reservation import clean_fields, clean_new_fields
from tenancy.people.members import grant
from tenancy.schemas import blueprint
from tenancy.schemas.ddl import create_schema, drop_schema
from tenancy.schemas.undo import undoing
from tenancy.schemas.uploads import Unknown, remove_files, uploads_of

COLUMNS = """
    SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p')
        AND (relname::text, attname::text) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
"""


class Restored(NamedTuple):
    host: str
    notes: list[str]  # a sentence about each thing that differs from the backup


def restore(
    path: str | Path | BinaryIO,
    by: str,
    *,
    slug: str = "",
    name: str = "",
    organization: Organization | str = "",
    owner: str = "",
    is_own: bool = False,
    **fields,
) -> Restored:
    """Make a tenant from a backup, by its path or open. Trust it like code: its SQL is executed.

    Slug, name, organization, owner and the project's own fields default to the backup's. Members
    are found by e-mail, and created if they don't exist. An older backup is migrated. Raises
    CopyError for a file that is damaged or of newer code, and what `provision_tenant` raises. As
    there, nothing is left behind, and the same call finishes what a killed call has left.

    `is_own` is for a customer's archive, which this installation has made (`kept.checked`). The ids
    of people in its rows are right, the owner is the only member, and domains and the project's
    fields stay behind.
    """
    file = Path(path) if isinstance(path, str | Path) else path
    with schema_context(get_public_schema_name()), opened(file) as backup:
        header, notes = backup.header, []
        is_older = compare_migrations(header["migrations"])
        kept = {key: value for key, value in header.get("fields", {}).items() if key not in fields}
        customer, digests = header.get("organization_fields", {}), header.get("digests", {})
        recipe = Recipe(
            "restore",
            partial(restored, backup, notes, is_own=is_own, is_older=is_older),
            grant_ownership if is_own else partial(grant_memberships, header, notes),
            fields=clean_new_fields(fields)
            if is_own
            else import_fields(Tenant, kept, digests, notes) | clean_fields(fields),
            organization_fields=import_fields(Organization, customer, digests, notes),
            origin=f"restore of {header['slug']} as of {header['made']}",
        )
        try:
            host = provision_by(
                recipe,
                name or header["name"],
                slug or header["slug"],
                organization or header["organization"],
                owner or header["owner"],
                by,
            )
        except UnknownUser as error:
            if owner:
                raise
            raise UnknownUser(f"{error} Name another owner (--owner).") from None
    return Restored(host, notes)


def compare_migrations(theirs: list[list[str]]) -> bool:
    """Return whether the backup lacks some of this code's migrations of the tenants' apps.

    A squashed migration counts as those that it replaces. Raises OtherMigrations for a backup of
    newer code.
    """
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    meant = {key: migration.replaces or [key] for key, migration in loader.disk_migrations.items()}
    ours = set(chain(*meant.values()))
    theirs = {key for app, name in theirs for key in meant.get((app, name), [(app, name)])}
    ours, theirs = (
        {key for key in keys if key[0] in tenant_app_labels()} for keys in (ours, theirs)
    )
    if unknown := sorted(f"{app}.{name}" for app, name in theirs - ours):
        raise OtherMigrations(
            f"The backup is of other migrations: unknown here: {', '.join(unknown[:3])}. Restore it"
            " with the code that it was made with."
        )
    return ours != theirs


@contextmanager
def restored(
    backup: Backup,
    notes: list[str],
    schema_name: str,
    *,
    is_own: bool = False,
    is_older: bool = False,
) -> Iterator[None]:
    """Make the schema and the uploads from the backup, in one transaction with the block.

    An older schema is committed and migrated before the block.
    """
    header, old, new = backup.header, backup.header["schema_name"], schema_name
    with undoing() as undo, schema_context(new):
        undo.callback(remove_files, new)
        with transaction.atomic(durable=True):
            write_files(backup, notes, new)
            with citus.placed(new):
                load_tables(backup, new)
                # Before `translate`, which would create them without the project's own fields.
                for member in [] if is_own else header["members"]:
                    if find_person(member["person"][0]) is None:
                        digests = header.get("digests", {})
                        fields = import_fields(User, member.get("fields", {}), digests, notes)
                        create_person(*member["person"], **fields)
                tenant = Tenant.all_objects.get(schema_name=new)
                translate(tenant, header["references"], has_ids_of_people=is_own)
                # Last, because a foreign key to a shared table keeps others from writing to that.
                run(backup.after, old, new)
            if not is_older:
                blueprint.send_schema_signals(new)
                yield
                return
        undo.callback(drop_schema, new)
        blueprint.run_migrations_in(new)
        yield


def load_tables(backup: Backup, new: str) -> None:
    """Make the schema with its tables and rows, and without what comes after rows."""
    left = left_behind()  # backups by earlier versions have it
    create_schema(new)
    run(backup.before, backup.header["schema_name"], new)
    with connection.cursor() as cursor:
        cursor.execute(EXACT)
        for number, table in enumerate(backup.header["tables"]):
            if table[0] in left.tables:
                continue
            with backup.archive.open(rows_of(number)) as rows:
                copy_in(cursor, f"COPY {table_name(new, *table)} FROM STDIN", rows)
    clear(new, left.columns)
    set_sequences(new, backup.header["sequences"])


def clear(schema_name: str, columns: set[tuple[str, str]]) -> None:
    """Set the columns to NULL, as far as the schema has them."""
    with connection.cursor() as cursor:
        pairs = [[pair[at] for pair in columns] for at in (0, 1)]
        cursor.execute(COLUMNS, [quote_schema_name(schema_name), *pairs])
        for table, column in cursor.fetchall():
            table, column = quote_table(schema_name, table), quote_schema_name(column)
            cursor.execute(f"UPDATE {table} SET {column} = NULL WHERE {column} IS NOT NULL")  # noqa: S608


def copy_in(cursor, sql: str, file) -> None:
    with connection.wrap_database_errors:
        if is_psycopg3:
            with cursor.copy(sql) as rows:
                shutil.copyfileobj(file, rows)
        else:
            cursor.copy_expert(sql, file)


def write_files(backup: Backup, notes: list[str], schema_name: str) -> None:
    uploads = uploads_of(schema_name)
    if isinstance(uploads, Unknown):
        if backup.files:
            notes.append(f"{len(backup.files)} uploads stay in the file: the storage is your own.")
        return
    for name in backup.files:
        with backup.archive.open(name) as file:
            uploads.write(name.removeprefix(FILES), file)


def grant_ownership(tenant: Tenant) -> None:
    """Make the owner the only member of a tenant that has another one's rows."""
    UserTenantPermissions.objects.exclude(profile=tenant.owner_id).delete()
    grant(tenant, tenant.owner, roles.OWNER)


def grant_memberships(header: dict, notes: list[str], tenant: Tenant) -> None:
    members = [find_person(member["person"][0]) for member in header["members"]]
    consistent.grant_memberships(tenant, members, find_person(header["owner"]))
    add_domains(tenant, header, notes)


def add_domains(tenant: Tenant, header: dict, notes: list[str]) -> None:
    """Add the backup's domains that are free.

    The slug's own domain is primary if no other is. It redirects only as it did in the backup.
    """
    own = tenant.domains.get()
    for domain in header["domains"]:
        host, digests = domain["host"], header.get("digests", {})
        values = import_fields(Domain, domain.get("fields", {}), digests, notes)
        values |= {"redirects": domain["redirects"], "is_primary": domain["is_primary"]}
        if host == header["host"]:
            for name, value in values.items():
                setattr(own, name, value)
        elif hosts.normalise_host(host) != host or Domain.objects.filter(domain=host).exists():
            notes.append(f"The domain {host!a} stays behind: it leads elsewhere, or nowhere.")
        else:
            Domain.objects.create(tenant=tenant, domain=host, **values)
    own.is_primary = not tenant.domains.exclude(pk=own.pk).filter(is_primary=True).exists()
    own.redirects = own.redirects and not own.is_primary
    own.save()
