"""The driver's cursors: whenever one sends SQL, it is in the current tenant's schema.

Django's cursors wrap these, and `connection.connection.cursor()` returns one. So a cursor may be
kept while the tenant changes or a transaction is rolled back, and COPY needs no care.
"""

import functools
import gc
import weakref
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS
from django.db.backends.postgresql.psycopg_any import is_psycopg3

from tenancy.database import replica

if not is_psycopg3:
    import psycopg2.extensions


class sending:  # noqa: N801 (a context manager)
    """Sets the search_path before the block, which sends the statement over the connection.

    It also sets whether the statement may write, and tells a request's chooser of replicas of it.
    """

    __slots__ = ("statement", "wrapper")

    def __init__(self, connection, statement=None):
        self.statement = statement
        wrapper = connection.find_wrapper()
        # A connection that waits in a pool belongs to nobody.
        self.wrapper = wrapper if wrapper and wrapper.connection is connection else None

    def __enter__(self):
        if self.wrapper:
            self.wrapper.set_read_only()
            self.wrapper.set_search_path()
            if (chooser := replica.chooser.get()) and self.wrapper.alias == DEFAULT_DB_ALIAS:
                chooser.note(self.statement)

    def __exit__(self, *error):
        if self.wrapper and not self.wrapper.reported and may_change_search_path(self.statement):
            self.wrapper.search_path = None


def may_change_search_path(sql) -> bool:
    """Return whether the statement may set another search_path. Only a string can be trusted."""
    if not isinstance(sql, str):
        return True
    lowered = sql.lower()  # a regular expression takes 20 times as long
    return any(word in lowered for word in ("search_path", "discard", "reset"))


class TenantCursor:
    """A mixin for a driver's class of cursors."""

    unguarded: type  # the driver's class

    def execute(self, query, *args, **kwargs):
        with sending(self.connection, query):
            return super().execute(query, *args, **kwargs)

    def executemany(self, query, *args, **kwargs):
        with sending(self.connection, query):
            return super().executemany(query, *args, **kwargs)


class Psycopg2Cursor(TenantCursor):
    def callproc(self, *args, **kwargs):
        with sending(self.connection):
            return super().callproc(*args, **kwargs)

    def copy_expert(self, sql, *args, **kwargs):
        with sending(self.connection, sql):
            return super().copy_expert(sql, *args, **kwargs)

    def copy_from(self, *args, **kwargs):
        with sending(self.connection):
            return super().copy_from(*args, **kwargs)

    def copy_to(self, *args, **kwargs):
        with sending(self.connection):
            return super().copy_to(*args, **kwargs)


class PsycopgCursor(TenantCursor):
    @contextmanager
    def copy(self, statement, *args, **kwargs):
        with sending(self.connection, statement), super().copy(statement, *args, **kwargs) as copy:
            yield copy

    def stream(self, query, *args, **kwargs):
        with sending(self.connection, query):
            yield from super().stream(query, *args, **kwargs)


@functools.cache
def guarded(cursor_class: type) -> type:
    """Return a subclass whose cursors are in the current tenant's schema."""
    if issubclass(cursor_class, TenantCursor):
        return cursor_class
    mixin = PsycopgCursor if is_psycopg3 else Psycopg2Cursor
    return type(cursor_class.__name__, (mixin, cursor_class), {"unguarded": cursor_class})


class Psycopg2Connection:
    """A mixin for psycopg2's class of connections."""

    @staticmethod
    def find_wrapper():
        """Return Django's wrapper of this connection: none while it is being opened."""

    def cursor(self, name=None, cursor_factory=None, **options):
        factory = cursor_factory or self.cursor_factory or psycopg2.extensions.cursor
        return super().cursor(name, guarded(factory), **options)

    def unguarded_cursor(self):
        factory = self.cursor_factory or psycopg2.extensions.cursor
        return super().cursor(cursor_factory=getattr(factory, "unguarded", factory))


@functools.cache
def guarded_connection(connection_class: type) -> type:
    return type(connection_class.__name__, (Psycopg2Connection, connection_class), {})


def guard_parameters(parameters: dict) -> dict:
    """Return the parameters of a connection, changed so that its cursors are guarded."""
    if is_psycopg3:
        return parameters  # `guard` does it all
    factory = parameters.get("connection_factory", psycopg2.extensions.connection)
    return parameters | {"connection_factory": guarded_connection(factory)}


def guard(connection, wrapper) -> None:
    """Guard the cursors of the driver's connection, which the wrapper is about to use."""
    # A strong reference would be a cycle, which would delay the end of the connection.
    connection.find_wrapper = weakref.ref(wrapper)
    for known in "visited", "prepared":  # one of a pool has been used before
        vars(connection).setdefault(known, set())
    if is_psycopg3:
        connection.cursor_factory = guarded(connection.cursor_factory)
        connection.server_cursor_factory = guarded(connection.server_cursor_factory)


def guard_server_side(cursor):
    """Guard a server-side cursor of Django's, which psycopg's connection didn't make."""
    if is_psycopg3:
        cursor.__class__ = guarded(type(cursor))
    return cursor


def unguarded_cursor(connection):
    """Return a cursor that leaves the search_path as it is."""
    if is_psycopg3:
        return connection.cursor_factory.unguarded(connection)
    return connection.unguarded_cursor()


def has_open_ones(connection) -> bool:
    """Return whether a cursor is open, from which rows may be read. It takes some milliseconds."""
    referrers = gc.get_referrers(connection)
    return any(isinstance(each, TenantCursor) and not each.closed for each in referrers)


def is_in_pipeline(connection) -> bool:
    """Return whether statements are sent before the answers to earlier ones are read."""
    return is_psycopg3 and bool(connection.pgconn.pipeline_status)
