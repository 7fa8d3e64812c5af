"""A note on a tenant that is owed a `post_migrate`, which makes the permissions of new models, and
`schema_migrated`, which fills new materialized views.

They come after the last migration, and what ends in between leaves a tenant without them that has
all migrations. The note is a comment on the table of the migrations.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django_tenants.utils import quote_schema_name

NOTE = "signals after migrations are still to come"


@contextmanager
def pending(connection, schema: str) -> Iterator[None]:
    """The schema has the note inside, and keeps it where that raises or never ends."""
    comment(connection, schema, f"'{NOTE}'")
    yield
    comment(connection, schema, "NULL")


def comment(connection, schema: str, text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"COMMENT ON TABLE {quote_schema_name(schema)}.django_migrations IS {text}")
