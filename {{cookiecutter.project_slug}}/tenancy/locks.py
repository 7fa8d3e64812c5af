"""Work that one process does at a time, on any machine, and work that keeps nobody waiting."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import OperationalError, transaction
from django.db import connection as default
from django.db.backends.postgresql.psycopg_any import errors

from tenancy.exceptions import Busy

LOCK_TIMEOUT = 100  # milliseconds that others may have to wait behind us for a shared table
PATIENCE = 60  # seconds


@contextmanager
def advisory_lock(
    name: str, *, on_wait: Callable[[], object] | None = None, connection=None
) -> Iterator[None]:
    """Hold PostgreSQL's advisory lock of that name inside the block.

    If another process holds it, call `on_wait` once, which may raise to give up, then wait. The
    lock ends with its connection, and so with a killed process. It opens a connection of its own,
    since migrations close the default one, unless `connection` is given.
    """
    own = connection or default.copy()
    try:
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [name])
            if cursor.fetchone() == (False,):
                if on_wait:
                    on_wait()
                cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        try:
            yield
        finally:
            if own.connection:  # a closed connection has released the lock
                with own.wrap_database_errors, own.unguarded_cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [name])
    finally:
        if own is not default:
            own.close()


def without_waiting(work: Callable[[], object]) -> None:
    """Do the work in a transaction. Try again when it has to wait for a lock. Raises Busy."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with transaction.atomic(), default.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}")
                return work()
        except OperationalError as error:
            if not isinstance(error.__cause__, errors.LockNotAvailable):
                raise
            if time.monotonic() > end:
                raise Busy(f"Other transactions use a table all the time: {error}") from None
        time.sleep(LOCK_TIMEOUT / 1000)  # the transactions that waited behind us go first
