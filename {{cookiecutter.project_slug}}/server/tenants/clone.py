"""A tenant as a full, independent copy of another, as that is at one moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from django.db import connection
from django_tenants.utils import quote_schema_name, schema_context

from server.tenants import blueprint, copying, snapshot
from server.tenants.copying import CopyError, left_out, one_moment, run
from server.tenants.models import Tenant
from server.tenants.moves import read
from server.tenants.provisioning import Way, bring_about
from server.tenants.references import move_over
from server.tenants.schemas import create_schema
from server.tenants.snapshot import NotWrittenDown, rename
from server.tenants.undo import undoing
from server.tenants.uploads import copy_files, remove_files

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
) -> str:
    """Make a copy of a tenant under a slug of its own; return its host name.

    Name, organization and owner are the source's where none are given. All members are members of
    the copy too, with their rights; of a source whose owner is another, the owner is one without
    an owner's rights. Nobody is signed in. Raises IllegalMove for a source that is neither active
    nor suspended, CopyError, and what `provision_tenant` raises; as there, nothing is left behind,
    and the same call finishes what a killed one has left.
    """
    source = read("clone", source)
    way = Way(
        "clone",
        partial(copied, source),
        lambda tenant: copying.move_in(tenant, source.user_set.all(), source.owner_id),
        origin=f"clone of {source.slug}",
    )
    return bring_about(
        way,
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
    with undoing() as undo, schema_context(new), one_moment("clone", source) as moment:
        try:
            before, after = snapshot.write_down_around_rows(old, moment)
        except NotWrittenDown as error:
            raise CopyError(f"“{source.slug}” can't be written down. {error}") from error
        create_schema(new)
        run(rename(one, old, new) for one in before)
        run(statements(ROWS, old, new) + statements(SEQUENCES, old, new))
        move_over(source, Tenant.everything.get(schema_name=new))
        undo.callback(remove_files, new)
        try:
            copy_files(old, new)
        except OSError as error:  # which may have as many lines as there are files
            raise CopyError(f"Uploads can't be copied: {str(error)[:300]!a}.") from error
        # Last: whoever would write to a shared table waits for what refers to it.
        run(rename(one, old, new) for one in after)
        blueprint.announce(new)
        yield


def statements(sql: str, old: str, new: str) -> list[str]:
    names = {"old": quote_schema_name(old), "new": quote_schema_name(new), "left_out": left_out()}
    with connection.cursor() as cursor:
        cursor.execute(sql, names)
        return [statement for (statement,) in cursor]
