"""What Django's schema editor executes in one tenant, written down for the others."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django_tenants.utils import quote_schema_name


def lock(schema: str) -> str:
    """The statement with which a transaction in the schema begins.

    A schema can be dropped while the fleet migrates. Without its tables the names in a migration
    would mean the public schema's tables of the same name; this fails instead, or makes the drop
    wait. So it does with another who migrates the schema: what a killed run has sent goes on.
    """
    return f"LOCK TABLE {quote_schema_name(schema)}.django_migrations IN SHARE ROW EXCLUSIVE MODE"


class RecordingEditor(BaseDatabaseSchemaEditor):
    """Comes last before the base class, and so sees what is sent, with the parameters in it."""

    schema: str

    def __enter__(self):
        super().__enter__()
        if self.atomic_migration:
            try:
                with self.connection.cursor() as cursor:
                    cursor.execute(lock(self.schema))
            except DatabaseError:
                self.atomic.__exit__(*sys.exc_info())  # which nobody else does now
                raise
        return self

    def execute(self, sql, params=()):
        super().execute(sql, params)
        self.executed.append(str(sql))


@contextmanager
def recorded(connection, schema: str) -> Iterator[list[list[str]]]:
    """Inside, each transaction of a schema editor begins with the lock; yields a list that gets
    another list of statements from each editor that is made."""
    editors = []

    class Editor(connection.SchemaEditorClass, RecordingEditor):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.schema = schema
            self.executed = []
            editors.append(self.executed)

    connection.SchemaEditorClass = Editor
    try:
        yield editors
    finally:
        del connection.SchemaEditorClass
