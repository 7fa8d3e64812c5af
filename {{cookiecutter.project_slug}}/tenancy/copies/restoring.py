"""A tenant made of a backup's file."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.backends.postgresql.psycopg_any import is_psycopg3
from django.db.migrations.loader import MigrationLoader
from django_tenants.utils import (
    app_labels,
    get_public_schema_name,
    quote_schema_name,
    schema_context,
)

from tenancy import hosts
from tenancy.concrete import Domain, Organization, Tenant, User
from tenancy.copies import consistent
from tenancy.copies.archive import FILES, Backup, opened, rows_of
from tenancy.copies.backups import table_name
from tenancy.copies.consistent import EXACT, run
from tenancy.copies.fields import import_fields
from tenancy.copies.references import find_or_make_person, translate
from tenancy.exceptions import CopyError, UnknownUser, one_line
from tenancy.lifecycle.provisioning import Recipe, provision_by
from tenancy.lifecycle.reservation import clean_fields
from tenancy.schemas import blueprint
from tenancy.schemas.ddl import create_schema
from tenancy.schemas.dump import rename
from tenancy.schemas.undo import undoing
from tenancy.schemas.uploads import folder_of, remove_files


class Restored(NamedTuple):
    host: str
    notes: list[str]  # sentences about what is otherwise than it was


def restore(
    path: str | Path,
    by: str,
    *,
    slug: str = "",
    name: str = "",
    organization: str = "",
    owner: str = "",
    **fields,
) -> Restored:
    """Make a tenant of a backup, which must be trusted like code: its statements are carried out.

    Slug, name, organization, owner and the project's own fields are the backup's where none are
    given. Members are found by
    their e-mails, and made where there are none. Raises CopyError for a file that isn't whole or is
    of other migrations, and what `provision_tenant` raises; as there, nothing is left behind, and
    the same call finishes what a killed one has left.
    """
    with schema_context(get_public_schema_name()), opened(Path(path)) as backup:
        header, notes = backup.header, []
        compare_migrations({tuple(each) for each in header["migrations"]})
        slug = slug or header["slug"]
        kept = {name: value for name, value in header["fields"].items() if name not in fields}
        recipe = Recipe(
            "restore",
            partial(filled, backup, notes),
            partial(grant_memberships, header, notes),
            fields=import_fields(Tenant, kept, notes) | clean_fields(fields),
            organization_fields=import_fields(Organization, header["organization_fields"], notes),
            origin=f"restore of {header['slug']} as of {header['made']}",
        )
        try:
            host = provision_by(
                recipe,
                name or header["name"],
                slug,
                organization or header["organization"],
                owner or header["owner"][0],
                by,
            )
        except UnknownUser as error:
            if owner:
                raise
            raise UnknownUser(f"{error} Name another owner (--owner).") from None
    return Restored(host, notes)


def compare_migrations(theirs: set[tuple[str, str]]) -> None:
    """Raises CopyError where the backup's aren't those of the tenants' apps here."""
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    ours = set(loader.disk_migrations)
    for key, migration in loader.disk_migrations.items():
        replaced = set(migration.replaces)
        ours -= replaced
        if replaced and (replaced <= theirs or key in theirs):
            theirs = theirs - replaced | {key}
    of_tenants = app_labels(settings.TENANT_APPS)
    differences = [
        f"{what} {', '.join(names[:3])}"
        for what, those in (("it lacks", ours - theirs), ("unknown here:", theirs - ours))
        if (names := sorted(f"{app}.{name}" for app, name in those if app in of_tenants))
    ]
    if differences:
        raise CopyError(
            f"The backup is of other migrations: {'; '.join(differences)}. Restore it with the code"
            " that it was made with, and migrate then."
        )


@contextmanager
def filled(backup: Backup, notes: list[str], schema_name: str) -> Iterator[None]:
    """A schema from the backup, in one transaction with the block."""
    tenant = Tenant.all_objects.get(schema_name=schema_name)
    with undoing() as undo, schema_context(schema_name), transaction.atomic(durable=True):
        undo.callback(remove_files, schema_name)
        try:
            write_files(backup, notes, schema_name)
            # Last: whoever would write to a shared table waits for what refers to it.
            fill(backup, notes, tenant)
        # The last three: a header that was forged, for what is damaged was found before.
        except (DatabaseError, OSError, ValueError, TypeError, LookupError) as error:
            version, reason = backup.header["postgresql"], one_line(error)
            raise CopyError(f"The backup, by PostgreSQL {version}, fails: {reason}") from error
        blueprint.send_schema_signals(schema_name)
        yield


def fill(backup: Backup, notes: list[str], tenant: Tenant) -> None:
    header, new = backup.header, tenant.schema_name
    own = quote_schema_name(new)
    create_schema(new)
    run(rename(one, header["schema_name"], new) for one in backup.before)
    with connection.cursor() as cursor:
        cursor.execute(EXACT)
        for number, table in enumerate(header["tables"]):
            with backup.archive.open(rows_of(number)) as rows:
                copy_in(cursor, f"COPY {table_name(new, *table)} FROM STDIN", rows)
        for name, value, is_called in header["sequences"]:
            sequence = f"{own}.{quote_schema_name(name)}"
            cursor.execute("SELECT setval(%s, %s, %s)", [sequence, value, is_called])
    # First: `translate` would make those who are missing without the fields of their own.
    for email, *rest in [*header["members"], header["owner"]]:
        fields = header["people_fields"].get(email, {})
        find_or_make_person(email, *rest, **import_fields(User, fields, notes))
    translate(tenant, header["references"])
    run(rename(one, header["schema_name"], new) for one in backup.after)


def copy_in(cursor, sql: str, file) -> None:
    with connection.wrap_database_errors:
        if is_psycopg3:
            with cursor.copy(sql) as rows:
                shutil.copyfileobj(file, rows)
        else:
            cursor.copy_expert(sql, file)


def write_files(backup: Backup, notes: list[str], schema_name: str) -> None:
    folder = folder_of(schema_name)
    if folder is None and backup.files:
        notes.append(f"{len(backup.files)} uploads stay in the file: they go into no folder here.")
        return
    for name in backup.files:
        target = folder / name.removeprefix(FILES)
        target.parent.mkdir(parents=True, exist_ok=True)
        with backup.archive.open(name) as source, target.open("xb") as file:
            shutil.copyfileobj(source, file)


def grant_memberships(header: dict, notes: list[str], tenant: Tenant) -> None:
    members = [find_or_make_person(*member) for member in header["members"]]
    consistent.grant_memberships(tenant, members, find_or_make_person(*header["owner"]).pk)
    add_domains(tenant, header, notes)


def add_domains(tenant: Tenant, header: dict, notes: list[str]) -> None:
    """Those that are free; the slug's own leads to the primary one if it did and that is here."""
    own = tenant.domains.get()
    for host, is_primary, redirects in header["domains"]:
        fields = import_fields(Domain, header["domain_fields"].get(host, {}), notes)
        if host == header["host"]:
            own.redirects = redirects
            for name, value in fields.items():
                setattr(own, name, value)
        elif hosts.normalise_host(host) != host or Domain.objects.filter(domain=host).exists():
            notes.append(f"The domain {host!a} stays behind: it leads elsewhere, or nowhere.")
        else:
            given = {"is_primary": is_primary, "redirects": redirects, **fields}
            Domain.objects.create(tenant=tenant, domain=host, **given)
    own.is_primary = not tenant.domains.exclude(pk=own.pk).filter(is_primary=True).exists()
    own.redirects = own.redirects and not own.is_primary
    own.save()
