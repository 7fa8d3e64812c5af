"""Work that only one process does at a time, on any machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection as default


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
