"""What is remembered with a connection until the database says that it may be otherwise by now.

PostgreSQL sends notifications by itself, and reading what has arrived costs no query. The memory is
that of the connection over which it was learned: what a query brought is forgotten by what the same
connection hears after it.
"""

import time

from django.db.backends.postgresql.psycopg_any import is_psycopg3

SECONDS = 60  # so long a connection that says nothing is believed
IDLE = 0  # libpq's PGTransactionStatusType, the same in psycopg2 and psycopg


class NotifyInvalidatedCache:
    """The part of a DatabaseWrapper that has `memory(channel)`, and asks nothing in order to know
    whether the server is still there."""

    def __init__(self, *args, **kwargs):
        self.caches = {}  # by channel
        super().__init__(*args, **kwargs)

    def cache_for(self, channel: str) -> dict:
        """What the caller has put there since somebody sent a NOTIFY to the channel.

        It begins empty with each connection and each minute. In a transaction, where nothing is
        heard and what is read may be taken back, every call gets an empty one.
        """
        if self.connection is not None and not self.in_atomic_block and not self.is_usable():
            self.close()
        self.health_check_done = True
        if self.connection is None:
            self.ensure_connection()
        if not self.is_outside_transaction():
            return {}
        if channel not in self.caches:
            with self.wrap_database_errors, self.connection.cursor() as own:
                own.execute(f"LISTEN {self.ops.quote_name(channel)}")
            self.caches[channel] = {}
        if self.notifications:
            self.notifications.clear()
            self.clear_caches()
        return self.caches[channel]

    def clear_caches(self):
        for memory in self.caches.values():
            memory.clear()

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
        """Whether the server is still there. It's asked only where something hints at the contrary,
        and once a minute."""
        now = time.monotonic()
        if now >= self.believed_until:
            self.believed_until = now + SECONDS
            self.clear_caches()
        elif not self.errors_occurred and self.is_quiet():
            return True
        return super().is_usable()

    def is_quiet(self) -> bool:
        """Read what has arrived; whether that is nothing but notifications.

        A server that ends a connection says so first. That it is closed may arrive later.
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
