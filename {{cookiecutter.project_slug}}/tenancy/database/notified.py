"""A cache that PostgreSQL's notifications invalidate.

PostgreSQL sends notifications unasked, and reading those that have arrived costs no query. Each
connection has its own cache: a notification that comes after a query's answer, over the same
connection, invalidates what was cached of the answer.
"""

import time

from django.db.backends.postgresql.psycopg_any import is_psycopg3

SECONDS = 60  # how long a connection that reports nothing is trusted
IDLE = 0  # libpq's PGTransactionStatusType, the same in psycopg2 and psycopg


class NotifyInvalidatedCache:
    """A mixin for a DatabaseWrapper: adds `cache_for(channel)`, and knows without a query whether
    the server is still there."""

    def __init__(self, *args, **kwargs):
        self.caches = {}  # by channel
        super().__init__(*args, **kwargs)

    def cache_for(self, channel: str) -> dict:
        """Return a dictionary for the caller's use, emptied by any NOTIFY to the channel.

        It starts empty with each connection. Inside a transaction no notification arrives, and what
        is read may be rolled back, so each call returns an empty one.
        """
        if self.connection is not None and not self.in_atomic_block and not self.is_usable():
            self.close()
        self.health_check_done = True
        if self.connection is None:
            self.ensure_connection()
        if not self.is_outside_transaction():
            return {}
        if channel not in self.caches:
            with self.wrap_database_errors, self.unguarded_cursor() as own:
                own.execute(f"LISTEN {self.ops.quote_name(channel)}")
            self.caches[channel] = {}
        if self.notifications:
            self.notifications.clear()
            for cache in self.caches.values():
                cache.clear()
        return self.caches[channel]

    def is_outside_transaction(self) -> bool:
        connection = self.connection
        return connection.autocommit and connection.info.transaction_status == IDLE

    def init_connection_state(self):
        self.caches = {}
        self.believed_until = time.monotonic() + SECONDS
        if is_psycopg3:
            self.notifications, self.notices = [], []
            self.connection.add_notify_handler(self.notifications.append)
            self.connection.add_notice_handler(self.notices.append)
        else:
            self.notifications, self.notices = self.connection.notifies, self.connection.notices
        super().init_connection_state()

    def is_usable(self):
        """Return whether the server is still there. Only asks it once a minute, after an error, or
        when something has arrived.

        What it answers comes after the notifications that it sent before, so none has been lost.
        """
        now = time.monotonic()
        if now >= self.believed_until:
            self.believed_until = now + SECONDS
        elif not self.errors_occurred and self.is_quiet():
            return True
        return self.answers()

    def answers(self) -> bool:
        """Ask the server, and forget all if it doesn't notify this connection any more."""
        if self.connection is None:
            return False
        try:
            with self.unguarded_cursor() as own:
                own.execute("SELECT pg_listening_channels()")
                channels = {channel for (channel,) in own}
        except self.Database.Error:
            return False
        if not channels.issuperset(self.caches):  # after DISCARD or UNLISTEN
            self.caches = {}
        return True

    def is_quiet(self) -> bool:
        """Read what has arrived, and return whether these are only notifications.

        A server that ends a connection sends a notice first; the end itself may arrive later.
        """
        self.notices.clear()
        try:
            if is_psycopg3:
                self.connection.pgconn.consume_input()
                while notification := self.connection.pgconn.notifies():
                    self.notifications.append(notification)
            else:
                self.connection.poll()
        except self.Database.Error:
            return False
        return not self.notices
