"""The database backend (`ENGINE = "tenancy.database"`): how a connection gets its schema.

django-tenants sets the search_path whenever a cursor is made, or else trusts that the last one it
set is still in force, which a rollback may have undone. Here it is set when a cursor sends SQL, and
only if another one is in force. PostgreSQL 18 and later report the search_path with each answer.
For earlier versions it is remembered only if it was set outside a transaction: then only another
SET can change it.
"""

import functools
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import django.db.backends.postgresql.base  # noqa: F401 (first: the introspection refers back to it)
from asgiref.sync import SyncToAsync
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connections
from django.db.backends.postgresql.introspection import TableInfo
from django_tenants.postgresql_backend import base
from django_tenants.postgresql_backend.base import original_backend
from django_tenants.postgresql_backend.introspection import DatabaseSchemaIntrospection
from django_tenants.utils import get_public_schema_name, quote_schema_name

from tenancy.database import citus, cursors, pooler
from tenancy.database.client import Client
from tenancy.database.current import PUBLIC, NamedSchema, Place, current, search_path_of
from tenancy.database.notified import NotifyInvalidatedCache
from tenancy.database.prepared import PREFIX
from tenancy.database.read_only import is_wanted as read_only_is_wanted
from tenancy.database.schema import SchemaEditor
from tenancy.exceptions import DatabaseAway, MixingPooler

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
# Whether the session has something that would end with it, besides Django's settings and ours.
KEEPS_SOMETHING = """
    SELECT EXISTS (SELECT FROM pg_cursors WHERE name <> '')
        OR EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')
        OR EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_my_temp_schema())
        OR EXISTS (SELECT FROM pg_prepared_statements WHERE from_sql AND NOT starts_with(name, %s))
        OR EXISTS (SELECT FROM pg_listening_channels() channel WHERE channel <> ALL (%s))
        OR EXISTS (
            SELECT FROM pg_settings
            WHERE source = 'session' AND name NOT IN ('search_path', 'TimeZone')
        )
"""
MAX_SCHEMAS = 2000
IN_ERROR = 3  # libpq's PGTransactionStatusType, the same in psycopg2 and psycopg


class Introspection(
    DatabaseSchemaIntrospection, original_backend.DatabaseWrapper.introspection_class
):
    """django-tenants' introspection of one schema, and what the original backend adds (PostGIS).

    The library's methods send `SET search_path`, which is in force for that statement only.
    """

    def get_table_list(self, cursor):
        """Return what Django's returns, without reading the tables of all other schemas.

        Django calls this several times in each `migrate`.
        """
        cursor.execute(TABLES, [self.connection.ops.quote_name(self.connection.schema_name)])
        return [TableInfo(*row) for row in cursor if row[0] not in self.ignored_tables]

    def get_table_description(self, cursor, table_name):
        with self.connection.in_schema_alone():
            return super(DatabaseSchemaIntrospection, self).get_table_description(
                cursor, table_name
            )

    def get_sequences(self, cursor, table_name, table_fields=()):
        with self.connection.in_schema_alone():
            return super(DatabaseSchemaIntrospection, self).get_sequences(
                cursor, table_name, table_fields
            )

    def get_key_columns(self, cursor, table_name):
        with self.connection.in_schema_alone():
            return super(DatabaseSchemaIntrospection, self).get_key_columns(cursor, table_name)

    def get_constraints(self, cursor, table_name):
        with self.connection.in_schema_alone():
            return super(DatabaseSchemaIntrospection, self).get_constraints(cursor, table_name)


class Operations(original_backend.DatabaseWrapper.ops_class):
    def sequence_reset_sql(self, style, model_list):
        return [citus.resetting(each) for each in super().sequence_reset_sql(style, model_list)]


def wrappers_of_this_thread() -> list["DatabaseWrapper"]:
    initialized = connections.all(initialized_only=True)
    return [each for each in initialized if isinstance(each, DatabaseWrapper)]


def place_of(tenant, include_public: bool = True) -> Place:
    """Return the tenant's place. Raises ValidationError if its schema's name is invalid."""
    if tenant is None:
        return Place(None, include_public, None, None)
    name = tenant.schema_name
    return Place(tenant, include_public, name, checked_search_path(name, include_public))


@functools.lru_cache(maxsize=10_000)
def checked_search_path(schema_name: str, include_public: bool) -> str:
    base._check_schema_name(schema_name)
    shared = [get_public_schema_name()] if include_public else []
    return search_path_of(*dict.fromkeys([schema_name, *shared]))


class DatabaseWrapper(NotifyInvalidatedCache, base.DatabaseWrapper):
    """A connection in the schema of the current tenant, as are all others with this engine.

    `DATABASES[alias]["SERVER"]`, if given, is called whenever a connection is opened, and returns
    where the server is then: HOST, PORT, USER, PASSWORD. `CONN_MAX_SCHEMAS` is the number of
    schemas after which a connection is closed, as after CONN_MAX_AGE seconds: the server's process
    keeps what it has learnt of each, and gets slower and larger.

    A value that is assigned to `tenant`, `schema_name` or `include_public_schema` sends the next
    query there. To delete it undoes the assignment, as mock.patch does at its end.
    """

    SchemaEditorClass = SchemaEditor
    client_class = Client
    ops_class = Operations
    time_limits = TIME_LIMITS

    def __init__(self, *args, **kwargs):
        self.search_path = None  # what is in force for certain, if the server doesn't report it
        self.last_set = None  # what the last SET of ours was
        self.reported = None  # what the server reported then, if it does
        self.read_only = False  # whether its transactions are, by a SET of ours
        self.allowed = sys.maxsize  # how many schemas the connection may go to before it's closed
        before = current.set(PUBLIC)
        try:
            super().__init__(*args, **kwargs)  # the library's enters public
        finally:
            current.reset(before)
        self.introspection = Introspection(self)

    # The current tenant

    @property
    def tenant(self):
        return current.get().tenant

    @tenant.setter
    def tenant(self, tenant):
        self._assign(tenant, self.include_public_schema)

    @property
    def schema_name(self):
        return current.get().schema_name

    @schema_name.setter
    def schema_name(self, schema_name):
        before = current.get().before
        if before and before.schema_name == schema_name:
            tenant = before.tenant
        else:
            tenant = None if schema_name is None else NamedSchema(schema_name)
        self._assign(tenant, self.include_public_schema)

    @property
    def include_public_schema(self):
        return current.get().include_public

    @include_public_schema.setter
    def include_public_schema(self, include_public):
        self._assign(self.tenant, include_public)

    def _assign(self, tenant, include_public):
        self._enter(place_of(tenant, include_public)._replace(before=current.get()))

    def _undo_assignment(self):
        before = current.get().before
        if before is None:
            raise AttributeError("There is no assignment to undo.")
        self._enter(before)

    tenant = tenant.deleter(_undo_assignment)
    schema_name = schema_name.deleter(_undo_assignment)
    include_public_schema = include_public_schema.deleter(_undo_assignment)

    @property
    def wanted(self) -> str:
        """The search_path that the next query needs. Raises ImproperlyConfigured if none may."""
        if (search_path := current.get().search_path) is None:
            raise ImproperlyConfigured("No tenant is current: call set_tenant() or set_schema().")
        return search_path

    def set_tenant(self, tenant, include_public=True):
        """Put all connections into the tenant's schema, from the next query on.

        `tenant` has a `schema_name`. If it has a `check_schema()`, that is called first, and raises
        if the schema can't be entered. Raises ValidationError if the schema's name is invalid.
        """
        if check := getattr(tenant, "check_schema", None):
            check()
        self.set_tenant_unchecked(tenant, include_public)

    def set_tenant_unchecked(self, tenant, include_public):
        """Do the same without `check_schema()`, as on the way back to where the connection was."""
        self._enter(place_of(tenant, include_public))

    def set_schema_to_public(self):
        self._enter(PUBLIC)

    def leave_tenant(self):
        """Enter public, and trust nothing that is remembered of the search_path."""
        if current.get() is not PUBLIC:
            self._enter(PUBLIC)
        read_only_is_wanted.set(False)
        for each in self.aliases():
            each.search_path = None

    @contextmanager
    def in_schema_alone(self) -> Iterator[None]:
        """Let names mean the current tenant's tables only, and no shared ones, inside the block."""
        before = current.get()
        alone = quote_schema_name(self.schema_name)
        current.set(before._replace(search_path=alone))
        try:
            yield
        finally:
            current.set(before)

    def aliases(self) -> list["DatabaseWrapper"]:
        """Return this thread's wrappers."""
        if len(connections.settings) == 1:
            return [self]  # the search is slow, and each request comes here twice
        initialized = connections.all(initialized_only=True)
        return [each for each in initialized if isinstance(each, DatabaseWrapper)]

    def _enter(self, place: Place):
        before = current.get()
        current.set(place)
        if base.EXTRA_SET_TENANT_METHOD:
            try:
                base.EXTRA_SET_TENANT_METHOD(self, place.tenant)
            except BaseException:
                current.set(before)
                raise

    def on_commit(self, func, robust=False):
        """Run `func` after the commit, in the tenant that is current at this call."""
        if not callable(func):
            raise TypeError("on_commit()'s callback must be a callable.")
        place = current.get()

        @functools.wraps(func)
        def in_its_tenant():
            before = current.get()
            self._enter(place)
            try:
                func()
            finally:
                self._enter(before)

        super().on_commit(in_its_tenant, robust)

    # The connection

    def connect(self):
        """Open a connection. Under ASGI it ends with the request, whatever CONN_MAX_AGE says.

        Each request has a thread of its own there, and the next one can't use what it leaves open.
        """
        super().connect()
        if SyncToAsync.thread_sensitive_context.get(None):
            self.close_at = time.monotonic()

    def get_connection_params(self):
        if find_server := self.settings_dict.get("SERVER"):
            self.settings_dict.update(find_server())
        return cursors.guard_parameters(self.time_limits | super().get_connection_params())

    def prepare_database(self):
        """Do nothing. Each schema's migration calls this, and PostGIS would create its extension in
        a tenant's schema. A migration of a shared app creates it instead."""

    def get_new_connection(self, conn_params):
        connection = super().get_new_connection(conn_params)
        cursors.guard(connection, self)
        return connection

    def init_connection_state(self):
        self.search_path = self.last_set = self.reported = None
        self.read_only = False
        self.max_schemas = self.settings_dict.get("CONN_MAX_SCHEMAS", MAX_SCHEMAS)
        self.allowed = self.max_schemas
        super().init_connection_state()
        try:
            self.is_citus = pooler.inspect_server(self)
        except MixingPooler:
            self.close()
            raise

    def ensure_connection(self):
        if (
            self.connection is not None
            and len(self.connection.visited) >= self.allowed
            and len(self.connection.visited | {self.schema_name}) > self.allowed
        ):
            self.close_if_worn()
        try:
            super().ensure_connection()
        except OperationalError as error:
            reason = str(error).partition("\n")[0]
            raise DatabaseAway(f"No connection to the database: {reason}") from error.__cause__

    def close_if_worn(self, max_schemas: int | None = None):
        """Close the connection if it has been to too many schemas, unless it is in a transaction or
        keeps something, such as a lock. Every query asks this, but it may always find a lock."""
        if self.connection is None:
            return
        if len(self.connection.visited) < min(max_schemas or self.max_schemas, self.max_schemas):
            return
        if self.in_atomic_block or not self.is_outside_transaction():
            return
        # Before the question, which is a query, too; a new connection starts again.
        self.allowed = len(self.connection.visited) + max(1, self.max_schemas // 10)
        if cursors.has_open_ones(self.connection) or self._keeps_something():
            return
        self.connection.close()  # a pool would keep it
        self.close()

    def _keeps_something(self) -> bool:
        with self.wrap_database_errors, self.unguarded_cursor() as own:
            own.execute(KEEPS_SOMETHING, [PREFIX, [*self.caches]])
            return own.fetchone()[0]

    def create_cursor(self, name=None):
        cursor = super().create_cursor(name)
        return cursors.guard_server_side(cursor) if name else cursor

    def unguarded_cursor(self):
        """Return a cursor of the driver's that leaves the search_path as it is."""
        self.connection.visited.add(self.schema_name)
        return cursors.unguarded_cursor(self.connection)

    def _set_autocommit(self, autocommit):
        if not autocommit and self.connection.autocommit:
            with self.wrap_database_errors:
                self.set_read_only()
                self.set_search_path()  # what is set before the transaction can be remembered
        super()._set_autocommit(autocommit)

    def _handle_search_path(self, cursor=None):
        """Do nothing. The library calls this for a new cursor, but the tenant may change until the
        cursor sends something."""

    def set_read_only(self):
        """Let the open connection's next transactions only read, if `read_only()` says so.

        The transaction that is open stays as it began. The driver's errors pass.
        """
        wanted = read_only_is_wanted.get()
        if wanted is self.read_only or not self.is_outside_transaction():
            return
        self.read_only = None  # a signal's handler may interrupt this
        with self.unguarded_cursor() as own:
            change = "SET default_transaction_read_only = on"
            own.execute(change if wanted else "RESET default_transaction_read_only")
        self.read_only = wanted

    def set_search_path(self):
        """Put the open connection into the current tenant's schema. The driver's errors pass."""
        wanted = self.wanted
        if self.is_in_force(wanted):
            return
        if self.connection.info.transaction_status == IN_ERROR:
            return  # nothing runs before the rollback
        outside = self.is_outside_transaction()
        self.search_path = self.last_set = None  # a signal's handler may interrupt this
        with self.unguarded_cursor() as own:
            own.execute(f"SET search_path = {wanted}")
        self.last_set = wanted
        self.search_path = wanted if outside else None
        report = self.report()
        # A pooler may pass on none, or an older one.
        is_current = report is not None and report.replace('"', "") == wanted.replace('"', "")
        self.reported = report if is_current else None

    def is_in_force(self, wanted: str) -> bool:
        """Return whether the wanted search_path is certainly in force."""
        if cursors.is_in_pipeline(self.connection):
            return False  # a report may be older than what was sent
        if self.reported:
            return self.last_set == wanted and self.report() == self.reported
        return self.search_path == wanted

    def report(self) -> str | None:
        """Return the search_path that the server last reported, or None."""
        return self.connection.info.parameter_status("search_path")
