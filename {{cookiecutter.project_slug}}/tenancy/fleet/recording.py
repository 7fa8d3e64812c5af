"""What Django's schema editor executes in one tenant, written down for the others."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django_tenants.utils import get_public_schema_name, quote_schema_name

from tenancy.exceptions import PublicWouldChange
from tenancy.fleet import drift


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


class GuardingEditor(BaseDatabaseSchemaEditor):
    """In a transaction it raises PublicWouldChange instead of committing that.

    A tenant may lack a table that public has, which the migration then means. Those that are like
    a tenant for which all went well don't.
    """

    def __enter__(self):
        super().__enter__()
        with self.left_on_error():
            self.before = self.look()
        return self

    def __exit__(self, exc_type, exc_value, traceback):
        if exc_type is None and self.atomic_migration:
            with self.left_on_error():
                for statement in self.deferred_sql:
                    self.execute(statement, None)
                self.deferred_sql.clear()
                if self.look() != self.before:
                    raise PublicWouldChange(f"{self.schema} lacks a table that public has")
        super().__exit__(exc_type, exc_value, traceback)

    @contextmanager
    def left_on_error(self):
        try:
            yield
        except BaseException:
            super().__exit__(*sys.exc_info())
            raise

    def look(self):
        return drift.fingerprints(self.connection, [get_public_schema_name()])


@contextmanager
def recorded(connection, schema: str, *guards: type) -> Iterator[list[list[str]]]:
    """Inside, each transaction of a schema editor begins with the lock; yields a list that gets
    another list of statements from each editor that is made, which is one of `guards` too."""
    editors = []

    class Editor(*guards, connection.SchemaEditorClass, RecordingEditor):
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
