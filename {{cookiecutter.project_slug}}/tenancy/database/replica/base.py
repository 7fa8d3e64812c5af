"""The database backend of the replica (`ENGINE = "tenancy.database.replica"`).

A query that fails there is asked of the primary, whose answer counts. So no page fails because the
replica is away, cancels a query to replay what conflicts with it, or lacks a table that was just
made. It can only read, so asking twice does no harm.
"""

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper

from tenancy.database import base
from tenancy.database.replica.standby import standby
from tenancy.exceptions import sqlstate_of

# A silent replica delays one query of each connection, so it counts as gone soon.
TIME_LIMITS = {"connect_timeout": 2, "keepalives_idle": 5, "tcp_user_timeout": 5_000}
TIMED_OUT = "57014"  # PostgreSQL's code of a query that would take too long again


class AsksPrimary:
    """A mixin for Django's cursors."""

    def execute(self, sql, params=None):
        try:
            return super().execute(sql, params)
        except Error as error:
            self.cursor = self.db.cursor_of_primary(error, getattr(self.cursor, "name", None))
            return self.cursor.execute(sql, params)


class Cursor(AsksPrimary, CursorWrapper):
    pass


class DebugCursor(AsksPrimary, CursorDebugWrapper):
    pass


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to the replica, in the schema of the current tenant."""

    time_limits = TIME_LIMITS

    def make_cursor(self, cursor):
        return Cursor(cursor, self)

    def make_debug_cursor(self, cursor):
        return DebugCursor(cursor, self)

    def _cursor(self, name=None):
        try:
            return super()._cursor(name)
        except Error as error:
            return self.cursor_of_primary(error, name)

    def cursor_of_primary(self, error: Error, name: str | None):
        """Return a cursor of the primary's for a query that has failed here.

        Raises the error if another try wouldn't help.
        """
        if self.in_atomic_block or sqlstate_of(error) == TIMED_OUT:
            raise error
        if self.connection is None or self.connection.closed:
            standby.leave_out(error)
        primary = connections[DEFAULT_DB_ALIAS]
        return primary.chunked_cursor() if name else primary.cursor()
