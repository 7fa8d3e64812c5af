"""A note that a tenant is owed the signals after its migrations.

`post_migrate` makes the permissions of new models, and receivers of `schema_migrated` fill new
materialized views. A process that ends after the last migration and before the signals leaves a
tenant without these. The note is a comment on the table of migrations, and the next run sends them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django_tenants.utils import quote_schema_name

NOTE = "signals after migrations are still to come"


@contextmanager
def pending(connection, schema: str) -> Iterator[None]:
    """Keep the note on the schema inside the block, and after one that raises or never ends."""
    comment(connection, schema, f"'{NOTE}'")
    yield
    comment(connection, schema, "NULL")


def comment(connection, schema: str, text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"COMMENT ON TABLE {quote_schema_name(schema)}.django_migrations IS {text}")
