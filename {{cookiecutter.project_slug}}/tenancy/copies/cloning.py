"""Make a full, independent copy of a tenant, as it is at one moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from django.db import connection
from django_tenants.utils import quote_schema_name, schema_context

from tenancy.concrete import Organization, Tenant
from tenancy.copies import consistent
from tenancy.copies.consistent import consistent_read, quote_table, run, tables_of
from tenancy.copies.fields import cloned_values
from tenancy.copies.references import repoint_self_references
from tenancy.database import citus
from tenancy.exceptions import CopyError
from tenancy.lifecycle.provisioning import Recipe, provision_by
from tenancy.lifecycle.reservation import clean_fields
from tenancy.schemas import blueprint
from tenancy.schemas.ddl import create_schema
from tenancy.schemas.dump import rename
from tenancy.schemas.undo import undoing
from tenancy.schemas.uploads import remove_files, uploads_of
from tenancy.states import fetch_for


def clone(
    source: Tenant,
    slug: str,
    by: str,
    *,
    name: str = "",
    organization: Organization | str = "",
    owner: str = "",
    **fields,
) -> str:
    """Make a copy of a tenant under another slug; return the copy's host name.

    Name, organization, owner and the project's own fields default to the source's, but unique
    values stay with the source. All members of the source are members of the copy, in the same
    roles. If the copy has another owner, the source's owner becomes a plain member. Credentials
    are left out. Raises IllegalTransition for a source that is neither active nor suspended,
    CopyError, and what `provision_tenant` raises. Whatever is raised, nothing is left behind. Where
    the process was killed, the same call finishes the copy.
    """
    source = fetch_for("clone", source)
    recipe = Recipe(
        "clone",
        partial(copied, source),
        lambda tenant: consistent.grant_memberships(tenant, source.user_set.all(), source.owner),
        fields=cloned_values(source) | clean_fields(fields),
        origin=f"clone of {source.slug}",
    )
    return provision_by(
        recipe,
        name or source.name,
        slug,
        organization or source.organization,
        owner or source.owner.get_username(),
        by,
    )


@contextmanager
def copied(source: Tenant, schema_name: str) -> Iterator[None]:
    """Make a schema like the source's, in one transaction with the block."""
    old, new = source.schema_name, schema_name
    with (
        undoing() as undo,
        schema_context(new),
        consistent_read("clone", source) as (before, after),
    ):
        with citus.placed(new):
            create_schema(new)
            run(before, old, new)
            copy_rows(old, new)
            consistent.set_sequences(new, consistent.sequences_of(old))
            repoint_self_references(source, Tenant.all_objects.get(schema_name=new))
            undo.callback(remove_files, new)
            try:
                uploads_of(old).copy_to(uploads_of(new))
            except OSError as error:  # its message may have a line for each file
                raise CopyError(f"Uploads can't be copied: {str(error)[:300]!a}.") from error
            # Last, because a foreign key to a shared table keeps others from writing to that.
            run(after, old, new)
        blueprint.send_schema_signals(new)
        yield


def copy_rows(old: str, new: str) -> None:
    inserts = []
    for table, columns, types in tables_of(old):
        columns = [*map(quote_schema_name, columns)]
        # A value of the old schema's own type becomes one of the new schema's as text.
        values = [
            f"{column}::text::{rename(kind, old, new)}" if kind else column
            for column, kind in zip(columns, types, strict=True)
        ]
        inserts.append(
            f"INSERT INTO {quote_table(new, table)} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"  # noqa: S608
            f" SELECT {', '.join(values)} FROM ONLY {quote_table(old, table)};"
        )
    with connection.cursor() as cursor:
        for message in citus.messages(inserts, separator=""):
            cursor.execute(message)
