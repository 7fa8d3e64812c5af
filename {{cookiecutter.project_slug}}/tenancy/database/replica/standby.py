"""What this process knows of the replica: whether it answers, and what it has replayed.

Both servers are asked at most once a second, in a request that would read from the replica. The
clock is the primary's: each commit in its WAL has the time. So replica and application need no
clock that agrees with it.
"""

import logging
import math
import threading
import time
from datetime import datetime

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, ProgrammingError, connections

from tenancy.database import replica
from tenancy.exceptions import one_line

EVERY = 1  # seconds between two looks
MAX_LAG = 5  # seconds, unless the setting REPLICA_MAX_LAG has others
AWAY = 5  # seconds until a replica that didn't answer is asked again

# Positions in the WAL are numbers of bytes. What isn't flushed is not replicated yet.
WRITTEN = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
FLUSHED = "SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint, clock_timestamp()"
REPLICA = """
    SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint, pg_last_xact_replay_timestamp()
    WHERE pg_is_in_recovery()
"""
IDENTITY = "SELECT system_identifier, current_database() FROM pg_control_system()"

logger = logging.getLogger(__name__)


class NotAReplica(Error):
    """The server was promoted, never was a replica, or is another server's."""


def max_lag() -> float:
    """Return the seconds that a replica in use may lag."""
    return getattr(settings, "REPLICA_MAX_LAG", MAX_LAG)


def check_identity() -> None:
    """Raise NotAReplica for a server that replicates another one than the primary.

    Where the role may not ask that, nothing is checked.
    """
    try:
        primary, other = ask(DEFAULT_DB_ALIAS, IDENTITY), ask(replica.alias, IDENTITY)
    except ProgrammingError:
        return
    if primary != other:
        raise NotAReplica("It replicates another server than that of DATABASE_URL")


def ask_replica() -> tuple:
    if row := ask(replica.alias, REPLICA):
        return row
    raise NotAReplica("It replicates nothing")


def ask(alias: str, sql: str) -> tuple | None:
    """Return the row of a query that no tenant matters to."""
    wrapper = connections[alias]
    wrapper.close_if_health_check_failed()  # an old connection tells nothing of the server
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
        self.caught_up: datetime | None = None  # when it was last seen to have replayed all
        self.lag = math.inf
        self.is_of_primary = False
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
            if not self.is_of_primary:
                check_identity()
                self.is_of_primary = True
            self.lag = self.look()
            self.good_until = now + max_lag() - self.lag
            self.say("in use" if self.is_good() else "late")
        except Error as error:
            self.leave_out(error)
        finally:
            self.lock.release()

    def look(self) -> float:
        """Ask both servers, and return how many seconds the replica lags at most.

        What it hasn't replayed was written after the last commit that it has replayed, and after
        the last look that found nothing left to replay. If it seems late, all that is left may be a
        commit of this moment, after hours without any: so it is asked once more.

        Raises NotAReplica, and Django's Error.
        """
        flushed, now = ask(DEFAULT_DB_ALIAS, FLUSHED)  # first: a later write is no lag
        for _ in range(2):
            replayed, committed = ask_replica()
            if replayed < self.replayed:  # it was set up anew
                self.caught_up = None
            self.replayed = replayed
            if replayed >= flushed:
                self.caught_up = now
            times = [time for time in (committed, self.caught_up) if time]
            lag = (now - max(times)).total_seconds() if times else math.inf
            if lag <= max_lag():
                break
        return lag

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
        self.good_until, self.lag = 0.0, math.inf
        self.is_of_primary, self.caught_up = False, None  # another server may come back
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
