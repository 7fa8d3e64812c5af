"""What Django's schema editor executes in one tenant, written down for the others."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django_tenants.utils import get_public_schema_name, quote_schema_name

from tenancy.exceptions import PublicWouldChange
from tenancy.fleet import drift


def lock(schema: str) -> str:
    """Return the statement with which a transaction in the schema begins.

    A schema can be dropped while the fleet migrates. Without its tables the names in a migration
    would mean the public schema's tables of the same name. This statement fails then, or makes the
    drop wait. It also waits for another process that migrates the schema: PostgreSQL finishes what
    a killed run has sent.
    """
    return f"LOCK TABLE {quote_schema_name(schema)}.django_migrations IN SHARE ROW EXCLUSIVE MODE"


class TenantEditor(BaseDatabaseSchemaEditor):
    """Locks the tenant's schema, records what is executed, and guards the public schema.

    It comes after the connection's own editor among the bases, and so sees statements with their
    parameters in them. With `guards_public` it raises PublicWouldChange instead of committing a
    change of the public schema: a tenant may lack a table that public has, and the migration then
    means that one. Tenants that are like one for which all went well need no guard.
    """

    schema: str
    guards_public: bool

    def __enter__(self):
        super().__enter__()
        self.executed: list[str] = []
        if self.atomic_migration:
            with self.rollback_on_error():
                with self.connection.cursor() as cursor:
                    cursor.execute(lock(self.schema))
                self.before = self.fingerprint_of_public()
        return self

    def __exit__(self, exc_type, exc_value, traceback):
        if exc_type is None and self.atomic_migration:
            with self.rollback_on_error():
                self.execute_deferred()
                if self.fingerprint_of_public() != self.before:
                    raise PublicWouldChange(f"{self.schema} lacks a table that public has")
        super().__exit__(exc_type, exc_value, traceback)

    def execute(self, sql, params=()):
        super().execute(sql, params)
        self.executed.append(str(sql))

    def execute_deferred(self) -> None:
        for statement in self.deferred_sql:
            self.execute(statement, None)
        self.deferred_sql.clear()

    @contextmanager
    def rollback_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            super().__exit__(*sys.exc_info())
            raise

    def fingerprint_of_public(self) -> dict[str, object] | None:
        if self.guards_public:
            return drift.fingerprints(self.connection, [get_public_schema_name()])
        return None


@contextmanager
def tenant_editors(connection, schema: str, *, guards_public: bool) -> Iterator[None]:
    """Let the connection's schema editors be TenantEditors inside the block."""
    own = {"schema": schema, "guards_public": guards_public}
    connection.SchemaEditorClass = type("Editor", (connection.SchemaEditorClass, TenantEditor), own)
    try:
        yield
    finally:
        del connection.SchemaEditorClass
