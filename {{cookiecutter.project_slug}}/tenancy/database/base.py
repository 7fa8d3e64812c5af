"""The database backend (`ENGINE = "tenancy.database"`): how a connection gets its schema.

django-tenants sets the search_path before each query, or else trusts that the last one it set is
still in force, which a rollback may have undone. Here it is set only if another one is in force.
PostgreSQL 18 and later report the search_path with each answer. For earlier versions it is
remembered only if it was set outside a transaction: then only another SET can change it.
"""

import functools

import django.db.backends.postgresql.base  # noqa: F401 (first: the introspection refers back to it)
from django.db import connections
from django.db.backends.postgresql.introspection import TableInfo
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from django.utils.asyncio import async_unsafe
from django_tenants.postgresql_backend import base
from django_tenants.postgresql_backend.base import original_backend
from django_tenants.postgresql_backend.introspection import DatabaseSchemaIntrospection
from django_tenants.utils import get_public_schema_name, quote_schema_name

from tenancy.database.client import Client
from tenancy.database.notified import NotifyInvalidatedCache
from tenancy.database.schema import SchemaEditor

# Tables are found by their dependency on the schema, which has an index.
TABLES = """
    SELECT relname,
        CASE WHEN relispartition THEN 'p' WHEN relkind IN ('m', 'v') THEN 'v' ELSE 't' END,
        obj_description(oid, 'pg_class')
    FROM pg_class WHERE relkind IN ('f', 'm', 'p', 'r', 'v') AND oid IN (
        SELECT objid FROM pg_depend
        WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace(%s)
            AND classid = 'pg_class'::regclass
    )
"""
# Seconds, and milliseconds, until a server that says nothing counts as gone. DATABASES may have
# others in OPTIONS.
TIME_LIMITS = {"connect_timeout": 5, "keepalives_idle": 30, "tcp_user_timeout": 30_000}
IN_ERROR = 3  # libpq's PGTransactionStatusType, the same in psycopg2 and psycopg
PUBLIC = base.FakeTenant(get_public_schema_name())


class Introspection(
    DatabaseSchemaIntrospection, original_backend.DatabaseWrapper.introspection_class
):
    """django-tenants' introspection of one schema, and what the original backend adds (PostGIS)."""

    def get_table_list(self, cursor):
        """Return what Django's returns, without reading the tables of all other schemas.

        Django calls this several times in each `migrate`.
        """
        cursor.execute(TABLES, [self.connection.ops.quote_name(self.connection.schema_name)])
        return [TableInfo(*row) for row in cursor if row[0] not in self.ignored_tables]


def wrappers_of_this_thread() -> list["DatabaseWrapper"]:
    initialized = connections.all(initialized_only=True)
    return [each for each in initialized if isinstance(each, DatabaseWrapper)]


@functools.lru_cache(maxsize=10_000)
def search_path_of(schema_name: str, include_public: bool) -> str:
    """Return the search_path as SQL. Raises ValidationError if a name in it is invalid."""
    names = [schema_name, *base.EXTRA_SEARCH_PATHS]
    if include_public and schema_name != PUBLIC.schema_name:
        names.insert(1, PUBLIC.schema_name)
    for name in names:
        base._check_schema_name(name)
    return ", ".join(map(quote_schema_name, names))


def may_change_search_path(sql) -> bool:
    """Return whether the statement may set another search_path."""
    if not isinstance(sql, str):
        return False
    lowered = sql.lower()  # a regular expression takes 20 times as long
    return any(word in lowered for word in ("search_path", "discard", "reset"))


class TenantCursorMixin:
    """Notices that the tenant or the search_path has changed since the cursor was made."""

    def _execute_with_wrappers(self, sql, params, many, executor):
        db = self.db
        if db.last_set != db.wanted:
            db._handle_search_path()
        try:
            return super()._execute_with_wrappers(sql, params, many, executor)
        finally:
            if not db.reported and may_change_search_path(sql):
                db.search_path = None


class Cursor(TenantCursorMixin, CursorWrapper):
    pass


class DebugCursor(TenantCursorMixin, CursorDebugWrapper):
    pass


class DatabaseWrapper(NotifyInvalidatedCache, base.DatabaseWrapper):
    """A connection in the schema of the current tenant.

    `DATABASES[alias]["SERVER"]`, if given, is called whenever a connection is opened, and returns
    where the server is then: HOST, PORT, USER, PASSWORD. All aliases with this engine are in the
    same tenant.
    """

    SchemaEditorClass = SchemaEditor
    client_class = Client

    def __init__(self, *args, **kwargs):
        self.search_path = None  # what is in force for certain, if the server doesn't report it
        self.last_set = None  # what the last SET of ours was
        self.reported = None  # what the server reported then, if it does
        super().__init__(*args, **kwargs)
        self.introspection = Introspection(self)
        for other in wrappers_of_this_thread():
            self._set_own_tenant(other.tenant, other.include_public_schema)

    @property
    @async_unsafe  # an event loop's thread has its own connection, which is in public
    def schema_name(self):
        return self.current_schema

    @schema_name.setter
    def schema_name(self, schema_name):
        self.current_schema = schema_name

    def get_connection_params(self):
        if find_server := self.settings_dict.get("SERVER"):
            self.settings_dict.update(find_server())
        return TIME_LIMITS | super().get_connection_params()

    def prepare_database(self):
        """Do nothing. Each schema's migration calls this, and PostGIS would create its extension in
        a tenant's schema. A migration of a shared app creates it instead."""

    @async_unsafe
    def set_tenant(self, tenant, include_public=True):
        """Put every alias into the tenant's schema, from the next query on.

        `tenant` has a `schema_name`. If it has a `check_schema()`, that is called first, and raises
        if the schema can't be entered. Raises SynchronousOnlyOperation in an event loop.
        """
        if check := getattr(tenant, "check_schema", None):
            check()
        self.set_tenant_unchecked(tenant, include_public)

    def set_tenant_unchecked(self, tenant, include_public):
        """Do the same without checks, as on the way back to where the connection was."""
        for each in self.aliases():
            each._set_own_tenant(tenant, include_public)

    def aliases(self) -> list["DatabaseWrapper"]:
        """Return the wrappers that share this one's tenant: all of this thread."""
        if len(connections.settings) == 1:
            return [self]  # the search below is slow, and each request comes here four times
        wrappers = wrappers_of_this_thread()
        # One that is being made, or was made to create a database, is on its own.
        return wrappers if self in wrappers else [self]

    def set_schema_to_public(self):
        self.set_tenant_unchecked(PUBLIC, include_public=True)

    def leave_tenant(self):
        """Put every alias into public, and trust nothing that is remembered of the search_path."""
        for each in self.aliases():
            if each.tenant is not PUBLIC:
                each._set_own_tenant(PUBLIC, include_public=True)
            each.search_path = None

    def _set_own_tenant(self, tenant, include_public):
        self.tenant = tenant
        self.current_schema = tenant.schema_name
        self.include_public_schema = include_public
        self.set_settings_schema(tenant.schema_name)
        self.wanted = search_path_of(tenant.schema_name, include_public)
        if base.EXTRA_SET_TENANT_METHOD:
            base.EXTRA_SET_TENANT_METHOD(self, tenant)

    def on_commit(self, func, robust=False):
        """Run `func` after the commit, in the tenant that is current at this call."""
        if not callable(func):
            raise TypeError("on_commit()'s callback must be a callable.")
        tenant, include_public = self.tenant, self.include_public_schema

        @functools.wraps(func)
        def in_its_tenant():
            before = self.tenant, self.include_public_schema
            self.set_tenant_unchecked(tenant, include_public)
            try:
                func()
            finally:
                self.set_tenant_unchecked(*before)

        super().on_commit(in_its_tenant, robust)

    def make_cursor(self, cursor):
        return Cursor(cursor, self)

    def make_debug_cursor(self, cursor):
        return DebugCursor(cursor, self)

    def init_connection_state(self):
        self.search_path = self.last_set = self.reported = None
        super().init_connection_state()

    def _set_autocommit(self, autocommit):
        if not autocommit:
            self._handle_search_path()  # what is set before the transaction can be remembered
        super()._set_autocommit(autocommit)

    def _handle_search_path(self, cursor=None):
        if self.is_in_force():
            return
        if self.connection.info.transaction_status == IN_ERROR:
            return  # nothing runs before the rollback
        outside = self.is_outside_transaction()
        self.search_path = self.last_set = None  # a signal's handler may interrupt this
        with self.wrap_database_errors, self.connection.cursor() as own:
            own.execute(f"SET search_path = {self.wanted}")
        self.last_set = self.wanted
        self.search_path = self.wanted if outside else None
        report = self.report()
        # A pooler may pass on none, or an older one.
        is_current = report is not None and report.replace('"', "") == self.wanted.replace('"', "")
        self.reported = report if is_current else None

    def is_in_force(self) -> bool:
        """Return whether the wanted search_path is certainly in force."""
        if self.reported:
            return self.last_set == self.wanted and self.report() == self.reported
        return self.search_path == self.wanted

    def report(self) -> str | None:
        """Return the search_path that the server last reported, or None."""
        return self.connection.info.parameter_status("search_path")
