"""The database backend (`ENGINE = "server.database"`): how a connection gets its schema.

django-tenants keeps the schema with each connection and sets the search_path before each query, or
remembers that it did where PostgreSQL has taken it back. Here the search_path is remembered only
if it was set outside of a transaction, for then nothing but another SET can change it.
"""

import functools

from django.db import connections
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from django.utils.asyncio import async_unsafe
from django_tenants.postgresql_backend import base
from django_tenants.postgresql_backend.base import original_backend
from django_tenants.postgresql_backend.introspection import DatabaseSchemaIntrospection
from django_tenants.utils import get_public_schema_name, quote_schema_name

from server.database.schema import SchemaEditor

IDLE, IN_ERROR = 0, 3  # libpq's PGTransactionStatusType, the same in psycopg2 and psycopg


class Introspection(
    DatabaseSchemaIntrospection, original_backend.DatabaseWrapper.introspection_class
):
    """django-tenants' view of one schema, with what the original backend (PostGIS) knows more."""


def of_this_thread() -> list["DatabaseWrapper"]:
    opened = connections.all(initialized_only=True)
    return [each for each in opened if isinstance(each, DatabaseWrapper)]


# Statements after which the search_path may be another than the one that was set here.
RESETS = ("search_path", "discard", "reset")


class OfCurrentTenant:
    """A cursor that notices when the tenant has changed since it was made, or the search_path."""

    def _execute_with_wrappers(self, sql, params, many, executor):
        if self.db.last_set != self.db.wanted:
            self.db._handle_search_path()
        try:
            return super()._execute_with_wrappers(sql, params, many, executor)
        finally:
            if isinstance(sql, str):
                lowered = sql.lower()  # a regular expression takes 20 times as long
                if any(word in lowered for word in RESETS):
                    self.db.search_path = None


class Cursor(OfCurrentTenant, CursorWrapper):
    pass


class DebugCursor(OfCurrentTenant, CursorDebugWrapper):
    pass


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection in the schema of the current tenant.

    `DATABASES[alias]["SERVER"]`, where there is one, is called whenever a connection is opened, and
    returns where the server is by then: HOST, PORT, USER, PASSWORD. All aliases with this engine
    are in the same tenant.
    """

    SchemaEditorClass = SchemaEditor

    def __init__(self, *args, **kwargs):
        self.search_path = None  # what is in force for certain
        self.last_set = None  # what was in force after the last SET of ours
        super().__init__(*args, **kwargs)
        self.introspection = Introspection(self)
        for other in of_this_thread():
            self.take_tenant(other.tenant, other.include_public_schema)

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

    @async_unsafe
    def set_tenant(self, tenant, include_public=True):
        """Be in the tenant's schema from the next query on, under every alias.

        `tenant` has a `schema_name`; if it also has `check_schema`, that may raise when the schema
        can't be entered. Raises SynchronousOnlyOperation in an event loop.
        """
        if check := getattr(tenant, "check_schema", None):
            check()
        self.switch(tenant, include_public)

    def switch(self, tenant, include_public):
        """The same without the checks: the way back to where the connection has been."""
        connected = of_this_thread()
        # One that is being made, or is made aside to create a database, concerns no other.
        for each in connected if self in connected else [self]:
            each.take_tenant(tenant, include_public)

    def set_schema_to_public(self):
        self.switch(base.FakeTenant(get_public_schema_name()), include_public=True)

    def take_tenant(self, tenant, include_public):
        self.tenant = tenant
        self.current_schema = tenant.schema_name
        self.include_public_schema = include_public
        self.set_settings_schema(tenant.schema_name)
        self.wanted = self._get_cursor_search_paths()
        if base.EXTRA_SET_TENANT_METHOD:
            base.EXTRA_SET_TENANT_METHOD(self, tenant)

    def forget(self):
        """Set the search_path anew at the next query, whatever is believed to be in force."""
        for each in of_this_thread():
            each.search_path = None

    def on_commit(self, func, robust=False):
        """Run `func` after the commit, in the tenant that is current now."""
        if not callable(func):
            raise TypeError("on_commit()'s callback must be a callable.")
        tenant, include_public = self.tenant, self.include_public_schema

        @functools.wraps(func)
        def in_its_tenant():
            before = self.tenant, self.include_public_schema
            self.switch(tenant, include_public)
            try:
                func()
            finally:
                self.switch(*before)

        super().on_commit(in_its_tenant, robust)

    def make_cursor(self, cursor):
        return Cursor(cursor, self)

    def make_debug_cursor(self, cursor):
        return DebugCursor(cursor, self)

    def init_connection_state(self):
        self.search_path = self.last_set = None
        super().init_connection_state()

    def _set_autocommit(self, autocommit):
        if not autocommit:
            # Before the transaction, where it is remembered.
            self._handle_search_path()
        super()._set_autocommit(autocommit)

    def _get_cursor_search_paths(self):
        public = get_public_schema_name()
        own = [] if self.current_schema == public else [self.current_schema]
        shared = [public] if self.include_public_schema or not own else []
        search_paths = [*own, *shared, *base.EXTRA_SEARCH_PATHS]
        for search_path in search_paths:
            base._check_schema_name(search_path)
        return search_paths

    def _handle_search_path(self, cursor=None):
        if self.wanted == self.search_path:
            return
        status = self.connection.info.transaction_status
        if status == IN_ERROR:
            return  # nothing runs before the rollback
        self.search_path = None  # until it is certain: a signal may interrupt what follows
        with self.wrap_database_errors, self.connection.cursor() as own:
            own.execute(f"SET search_path = {','.join(map(quote_schema_name, self.wanted))}")
        self.last_set = self.wanted
        outside = status == IDLE and self.connection.autocommit
        self.search_path = self.wanted if outside else None
