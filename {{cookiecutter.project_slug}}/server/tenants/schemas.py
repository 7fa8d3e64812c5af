"""Making and dropping a schema: which names may be dropped."""

import re

from django.db import connection
from django_tenants.utils import quote_schema_name

from server.tenants import hosts

# The template of all tenants' schemas, which no tenant's name is like (see blueprint.py).
TEMPLATE_NAME = r"\Ablueprint-[0-9a-f]{32}\Z"

# The comment on what is left of a schema's earlier name (see schema_names.py).
FORMER = "A tenant's schema had this name. Who still looks here gets an error, so leave it."


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
