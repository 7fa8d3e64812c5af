"""The database backend (`ENGINE = "tenancy.database"`): how a connection gets its schema.

django-tenants keeps the schema with each connection and sets the search_path before each query, or
remembers that it did where PostgreSQL has taken it back. Here it is set where another is in force.
From PostgreSQL 18 on, the server itself tells with each answer which one that is. Before, it is
remembered only if it was set outside of a transaction: then nothing but another SET can change it.
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

# A table depends on its schema, and by that it is found.
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
IN_ERROR = 3  # libpq's PGTransactionStatusType, the same in psycopg2 and psycopg


class Introspection(
    DatabaseSchemaIntrospection, original_backend.DatabaseWrapper.introspection_class
):
    """django-tenants' view of one schema, with what the original backend (PostGIS) knows more."""

    def get_table_list(self, cursor):
        """As Django's, without looking at all other schemas' tables, of which nothing is an index.

        Django asks for it several times in a `migrate`.
        """
        cursor.execute(TABLES, [self.connection.ops.quote_name(self.connection.schema_name)])
        return [TableInfo(*row) for row in cursor if row[0] not in self.ignored_tables]


PUBLIC = base.FakeTenant(get_public_schema_name())


def of_this_thread() -> list["DatabaseWrapper"]:
    opened = connections.all(initialized_only=True)
    return [each for each in opened if isinstance(each, DatabaseWrapper)]


@functools.lru_cache(maxsize=10_000)
def search_path_of(schema_name: str, include_public: bool) -> str:
    """As it is written in SQL. Raises ValidationError where a name in it is no schema's."""
    public = PUBLIC.schema_name
    own = [] if schema_name == public else [schema_name]
    shared = [public] if include_public or not own else []
    names = [*own, *shared, *base.EXTRA_SEARCH_PATHS]
    for name in names:
        base._check_schema_name(name)
    return ", ".join(map(quote_schema_name, names))


def may_move_search_path(sql) -> bool:
    """Whether another search_path may be in force after the statement than the one set here."""
    if not isinstance(sql, str):
        return False
    lowered = sql.lower()  # a regular expression takes 20 times as long
    return any(word in lowered for word in ("search_path", "discard", "reset"))


class OfCurrentTenant:
    """A cursor that notices when the tenant has changed since it was made, or the search_path."""

    def _execute_with_wrappers(self, sql, params, many, executor):
        db = self.db
        if db.last_set != db.wanted:
            db._handle_search_path()
        try:
            return super()._execute_with_wrappers(sql, params, many, executor)
        finally:
            if not db.reported and may_move_search_path(sql):
                db.search_path = None


class Cursor(OfCurrentTenant, CursorWrapper):
    pass


class DebugCursor(OfCurrentTenant, CursorDebugWrapper):
    pass


class DatabaseWrapper(NotifyInvalidatedCache, base.DatabaseWrapper):
    """A connection in the schema of the current tenant.

    `DATABASES[alias]["SERVER"]`, where there is one, is called whenever a connection is opened, and
    returns where the server is by then: HOST, PORT, USER, PASSWORD. All aliases with this engine
    are in the same tenant.
    """

    SchemaEditorClass = SchemaEditor
    client_class = Client

    def __init__(self, *args, **kwargs):
        self.search_path = None  # what is in force for certain, where the server doesn't tell
        self.last_set = None  # what was in force after the last SET of ours
        self.reported = None  # what the server said then, where it does
        super().__init__(*args, **kwargs)
        self.introspection = Introspection(self)
        for other in of_this_thread():
            self._set_own_tenant(other.tenant, other.include_public_schema)

    @property
    @async_unsafe  # an event loop's thread has a connection of its own, which is in public
    def schema_name(self):
        return self.current_schema

    @schema_name.setter
    def schema_name(self, schema_name):
        self.current_schema = schema_name

    def get_connection_params(self):
        if find_server := self.settings_dict.get("SERVER"):
            self.settings_dict.update(find_server())
        return super().get_connection_params()

    def prepare_database(self):
        """Nothing: each schema's migration comes here, and PostGIS would make its extension in a
        tenant's schema. A migration of a shared app makes what the database has to have."""

    @async_unsafe
    def set_tenant(self, tenant, include_public=True):
        """Be in the tenant's schema from the next query on, under every alias.

        `tenant` has a `schema_name`; if it also has `check_schema`, that may raise when the schema
        can't be entered. Raises SynchronousOnlyOperation in an event loop.
        """
        if check := getattr(tenant, "check_schema", None):
            check()
        self.set_tenant_unchecked(tenant, include_public)

    def set_tenant_unchecked(self, tenant, include_public):
        """The same without the checks: the way back to where the connection has been."""
        for each in self.aliases():
            each._set_own_tenant(tenant, include_public)

    def aliases(self) -> list["DatabaseWrapper"]:
        """Those of this thread, which are in the same tenant."""
        if len(connections.settings) == 1:
            return [self]  # to find out is slow, and asked four times in a request
        connected = of_this_thread()
        # One that is being made, or is made aside to create a database, concerns no other.
        return connected if self in connected else [self]

    def set_schema_to_public(self):
        self.set_tenant_unchecked(PUBLIC, include_public=True)

    def leave_tenant(self):
        """Be in public, and set the search_path anew, whatever is believed to be in force."""
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
        """Run `func` after the commit, in the tenant that is current now."""
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
            # Before the transaction, where it is remembered.
            self._handle_search_path()
        super()._set_autocommit(autocommit)

    def _handle_search_path(self, cursor=None):
        if self.is_in_force():
            return
        if self.connection.info.transaction_status == IN_ERROR:
            return  # nothing runs before the rollback
        outside = self.is_outside_transaction()
        self.search_path = self.last_set = None  # until it's certain: a signal may interrupt this
        with self.wrap_database_errors, self.connection.cursor() as own:
            own.execute(f"SET search_path = {self.wanted}")
        self.last_set = self.wanted
        self.search_path = self.wanted if outside else None
        report = self.report()
        # A pooler may have kept an older one to itself.
        is_of_this = report is not None and report.replace('"', "") == self.wanted.replace('"', "")
        self.reported = report if is_of_this else None

    def is_in_force(self) -> bool:
        """Whether the search_path that is wanted is in force for certain."""
        if self.reported:
            return self.last_set == self.wanted and self.report() == self.reported
        return self.search_path == self.wanted

    def report(self) -> str | None:
        """The search_path after the last answer, whatever set it or took it back."""
        return self.connection.info.parameter_status("search_path")
