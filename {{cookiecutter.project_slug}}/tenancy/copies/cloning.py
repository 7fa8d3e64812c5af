"""A tenant as a full, independent copy of another, as that is at one moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from django.db import connection
from django_tenants.utils import quote_schema_name, schema_context

from tenancy.concrete import Tenant
from tenancy.copies import consistent
from tenancy.copies.consistent import consistent_read, left_out, run
from tenancy.copies.fields import cloned_values
from tenancy.copies.references import repoint_self_references
from tenancy.exceptions import CopyError, DumpFailed
from tenancy.lifecycle.provisioning import Recipe, provision_by
from tenancy.lifecycle.reservation import clean_fields
from tenancy.schemas import blueprint, dump
from tenancy.schemas.ddl import create_schema
from tenancy.schemas.dump import rename
from tenancy.schemas.undo import undoing
from tenancy.schemas.uploads import copy_files, remove_files
from tenancy.states import fetch_for

# A statement for each table. What is of a type of the schema's own goes through its text.
ROWS = """
    SELECT format(
        'INSERT INTO %%s.%%I %%s OVERRIDING SYSTEM VALUE SELECT %%s FROM ONLY %%s.%%I;',
        %(new)s, relname,
        '(' || string_agg(quote_ident(mine.attname), ', ') || ')',
        string_agg(
            quote_ident(mine.attname) || CASE WHEN mine.atttypid = theirs.atttypid THEN ''
            ELSE '::text::' || format_type(mine.atttypid, mine.atttypmod) END, ', '
        ),
        %(old)s, relname
    )
    FROM pg_class copy
    JOIN pg_class source USING (relname)
    JOIN pg_attribute mine ON mine.attrelid = copy.oid
    JOIN pg_attribute theirs ON theirs.attrelid = source.oid AND theirs.attname = mine.attname
    WHERE copy.relkind = 'r' AND copy.relnamespace = to_regnamespace(%(new)s)
        AND source.relnamespace = to_regnamespace(%(old)s)
        AND mine.attnum > 0 AND mine.attgenerated = '' AND NOT theirs.attisdropped
        AND relname <> ALL(%(left_out)s)
    GROUP BY relname
"""
SEQUENCES = """
    SELECT format(
        'SELECT setval(%%L, last_value, is_called) FROM %%s.%%I;',
        format('%%s.%%I', %(new)s, relname), %(old)s, relname
    )
    FROM pg_class WHERE relkind = 'S' AND relnamespace = to_regnamespace(%(old)s)
"""


def clone(
    source: Tenant,
    slug: str,
    by: str,
    *,
    name: str = "",
    organization: str = "",
    owner: str = "",
    **fields,
) -> str:
    """Make a copy of a tenant under another slug; return the copy's host name.

    Name, organization, owner and the project's own fields default to the source's; unique values
    stay with the source. All members of the source are members of
    the copy, in the same roles. If the copy has another owner, the source's owner becomes a plain
    member. Sessions are left out. Raises IllegalTransition for a source that is neither active nor
    suspended, CopyError, and what `provision_tenant` raises. Whatever is raised, nothing is left
    behind. Where the process was killed, the same call finishes the copy.
    """
    source = fetch_for("clone", source)
    recipe = Recipe(
        "clone",
        partial(copied, source),
        lambda tenant: consistent.grant_memberships(tenant, source.user_set.all(), source.owner_id),
        fields=cloned_values(source) | clean_fields(fields),
        origin=f"clone of {source.slug}",
    )
    return provision_by(
        recipe,
        name or source.name,
        slug,
        organization or source.organization.name,
        owner or source.owner.get_username(),
        by,
    )


@contextmanager
def copied(source: Tenant, schema_name: str) -> Iterator[None]:
    """A schema that is as the source's, in one transaction with the block."""
    old, new = source.schema_name, schema_name
    with undoing() as undo, schema_context(new), consistent_read("clone", source) as moment:
        try:
            before, after = dump.dump_around_rows(old, moment)
        except DumpFailed as error:
            raise CopyError(f"“{source.slug}” can't be written down. {error}") from error
        create_schema(new)
        run(rename(one, old, new) for one in before)
        run(statements(ROWS, old, new) + statements(SEQUENCES, old, new))
        repoint_self_references(source, Tenant.all_objects.get(schema_name=new))
        undo.callback(remove_files, new)
        try:
            copy_files(old, new)
        except OSError as error:  # which may have as many lines as there are files
            raise CopyError(f"Uploads can't be copied: {str(error)[:300]!a}.") from error
        # Last: whoever would write to a shared table waits for what refers to it.
        run(rename(one, old, new) for one in after)
        blueprint.send_schema_signals(new)
        yield


def statements(sql: str, old: str, new: str) -> list[str]:
    names = {"old": quote_schema_name(old), "new": quote_schema_name(new), "left_out": left_out()}
    with connection.cursor() as cursor:
        cursor.execute(sql, names)
        return [statement for (statement,) in cursor]
