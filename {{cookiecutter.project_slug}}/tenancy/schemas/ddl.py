"""Create and drop schemas, and leave tombstones under the names of dropped ones.

PostgreSQL skips a schema of the search_path that doesn't exist. Code that is still in a purged or
renamed tenant would then use the tables of public. So an empty schema keeps the old name. For each
table it has a tombstone, a composite type of the same name, at which PostgreSQL raises an error:
cannot open relation.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django_tenants.utils import quote_schema_name

from tenancy import hosts

# The schemas that `blueprint` makes for a while. No tenant's schema has such a name.
TEMPLATE_NAME = r"\Ablueprint-[0-9a-f]{32}\Z"

# The comment on a schema of tombstones.
FORMER = "A tenant's schema had this name. Code that still uses it gets an error, so leave it."
# Also for composite types: the schema may be one of tombstones.
TOMBSTONES = """
    SELECT format('CREATE TYPE %%I.%%I AS ()', nspname, relname)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = %s AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
"""


def create_schema(schema_name: str) -> None:
    """Create an empty schema. Raises ProgrammingError if it exists."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {quote_schema_name(schema_name)}")


def drop_schema(schema_name: str, *, missing_ok: bool = False) -> None:
    """Drop the schema of a tenant or a template, with all that is in it.

    Raises ValueError for another schema, such as public. Raises ProgrammingError if it doesn't
    exist, unless `missing_ok`.
    """
    if not re.match(hosts.SCHEMA_NAME, schema_name) and not re.match(TEMPLATE_NAME, schema_name):
        raise ValueError(f"{schema_name} is no tenant's schema.")
    with connection.cursor() as cursor:
        which = "IF EXISTS " * missing_ok + quote_schema_name(schema_name)
        cursor.execute(f"DROP SCHEMA {which} CASCADE")


@contextmanager
def leaving_tombstones(schema_name: str) -> Iterator[None]:
    """Leave tombstones of the schema that the block drops or renames, in a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(TOMBSTONES, [schema_name])
        tombstones = [statement for (statement,) in cursor]
        yield
        if tombstones:
            create_schema(schema_name)
            cursor.execute(f"COMMENT ON SCHEMA {quote_schema_name(schema_name)} IS %s", [FORMER])
            cursor.execute(";".join(tombstones))
