"""What this process knows of the replica: whether it answers, and what it has replayed.

Both servers are asked at most once a second, in a request that would read from the replica. The
clock is the primary's: each commit in its WAL has the time. So replica and application need no
clock that agrees with it.
"""

import logging
import math
import threading
import time
from typing import NamedTuple

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections

from tenancy.database import replica
from tenancy.exceptions import one_line

EVERY = 1  # seconds between two looks
MAX_LAG = 5  # seconds, unless the setting REPLICA_MAX_LAG has others
AWAY = 5  # seconds until a replica that didn't answer is asked again

# Positions in the WAL are numbers of bytes.
PRIMARY = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint, clock_timestamp()"
REPLICA = """
    SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint, pg_last_xact_replay_timestamp()
    WHERE pg_is_in_recovery()
"""

logger = logging.getLogger(__name__)


class Look(NamedTuple):
    """What the two servers say."""

    replayed: int  # the position up to which the replica has replayed the WAL
    lag: float  # seconds

    @classmethod
    def now(cls) -> "Look":
        """Ask both servers. Raises NotAReplica, and Django's Error."""
        written, at = ask(DEFAULT_DB_ALIAS, PRIMARY)  # first: what comes meanwhile is no lag
        replayed, committed = ask_replica()
        if replayed >= written:
            return cls(replayed, 0)
        return cls(replayed, (at - committed).total_seconds() if committed else math.inf)


class NotAReplica(Error):
    """The server isn't in recovery: it was promoted, or never was a replica."""


def ask_replica() -> tuple:
    if row := ask(replica.alias, REPLICA):
        return row
    raise NotAReplica("The server is no replica.")


def ask(alias: str, sql: str) -> tuple | None:
    """Return the row of a query that no tenant matters to."""
    wrapper = connections[alias]
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors, wrapper.unguarded_cursor() as own:
        own.execute(sql)
        return own.fetchone()


class Standby:
    """The replica, as this process has seen it last. Threads share it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.next_look = 0.0
        self.good_until = 0.0
        self.replayed = 0
        self.state = "not asked yet"

    def is_good(self) -> bool:
        """Return whether the replica answers, and lags no more than REPLICA_MAX_LAG seconds.

        It holds between two looks, too, if the replica stops right after one.
        """
        return time.monotonic() < self.good_until

    def refresh(self) -> None:
        """Look at the replica if it's time, and no other thread does."""
        now = time.monotonic()
        if now < self.next_look or not self.lock.acquire(blocking=False):
            return
        try:
            self.next_look = now + EVERY
            look = Look.now()
            self.replayed = look.replayed
            self.good_until = now + getattr(settings, "REPLICA_MAX_LAG", MAX_LAG) - look.lag
            self.say("in use" if self.is_good() else "late")
        except Error as error:
            self.leave_out(error)
        finally:
            self.lock.release()

    def has(self, position: int) -> bool:
        """Return whether the replica has replayed the WAL up to the position. It may be asked."""
        if self.replayed >= position:
            return True
        try:
            self.replayed = ask_replica()[0]
        except Error as error:
            self.leave_out(error)
        return self.replayed >= position

    def leave_out(self, error: Error) -> None:
        """Read nothing there for some seconds."""
        self.good_until = 0.0
        self.next_look = time.monotonic() + AWAY
        connections[replica.alias].close()
        self.say("away", one_line(error).rstrip("."))

    def say(self, state: str, reason: str = "") -> None:
        """Log a change of the state, once."""
        if state != self.state:
            self.state = state
            level = logging.INFO if state == "in use" else logging.WARNING
            logger.log(level, "The replica is %s.", ": ".join(filter(None, [state, reason])))


standby = Standby()
