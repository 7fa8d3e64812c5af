"""Making and dropping a schema: which names may be dropped, and what is left of one.

PostgreSQL passes over a schema of the search_path that isn't there: whoever is in a tenant whose
schema is gone, or enters by an object that was read before, would be in public. So the name stays
that of a schema with no tables but for each of the tenant's a composite type of its name, at which
PostgreSQL says: cannot open relation.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django_tenants.utils import quote_schema_name

from tenancy import hosts

# The template of all tenants' schemas, which no tenant's name is like (see blueprint.py).
TEMPLATE_NAME = r"\Ablueprint-[0-9a-f]{32}\Z"

# The comment on what is left.
FORMER = "A tenant's schema had this name. Who still looks here gets an error, so leave it."
# For what is a composite type already, too: it may be what is left.
TOMBSTONES = """
    SELECT format('CREATE TYPE %%I.%%I AS ()', nspname, relname)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = %s AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
"""


def create_schema(schema_name: str) -> None:
    """Raises ProgrammingError where the schema exists: none is ever adopted."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {quote_schema_name(schema_name)}")


def drop_schema(schema_name: str, *, missing_ok: bool = False) -> None:
    """Raises ValueError for a schema whose name no tenant's has: public, PostgreSQL's own.

    Raises ProgrammingError for one that doesn't exist, unless `missing_ok`.
    """
    if not re.match(hosts.SCHEMA_NAME, schema_name) and not re.match(TEMPLATE_NAME, schema_name):
        raise ValueError(f"{schema_name} is no tenant's schema.")
    with connection.cursor() as cursor:
        which = "IF EXISTS " * missing_ok + quote_schema_name(schema_name)
        cursor.execute(f"DROP SCHEMA {which} CASCADE")


@contextmanager
def leaving_tombstones(schema_name: str) -> Iterator[None]:
    """The block takes the schema away, in a transaction: who still looks there gets an error."""
    with connection.cursor() as cursor:
        cursor.execute(TOMBSTONES, [schema_name])
        shadows = [statement for (statement,) in cursor]
        yield
        if shadows:
            create_schema(schema_name)
            cursor.execute(f"COMMENT ON SCHEMA {quote_schema_name(schema_name)} IS %s", [FORMER])
            cursor.execute(";".join(shadows))
