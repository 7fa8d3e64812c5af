"""Work that one process does at a time, on whatever machine it runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection as default


class Taken(Exception):
    """Another process holds the lock."""


@contextmanager
def advisory_lock(
    name: str, *, wait: bool = True, on_wait: Callable[[], object] | None = None, connection=None
) -> Iterator[None]:
    """Hold PostgreSQL's advisory lock of that name inside the block.

    If another process holds it, `on_wait` is called once, and then this waits; without `wait` it
    raises Taken instead. The lock ends with its connection, and so with a process that is killed.
    That is a connection of its own, since migrations close the default one, unless `connection` is
    given.
    """
    own = connection or default.copy()
    try:
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [name])
            (is_free,) = cursor.fetchone()
            if not is_free:
                if not wait:
                    raise Taken(name)
                if on_wait:
                    on_wait()
                cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
        try:
            yield
        finally:
            if own.connection:  # a connection that was closed has let go of the lock
                # The driver's own cursor: whatever schema is current now may be gone.
                with own.wrap_database_errors, own.connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [name])
    finally:
        if own is not default:
            own.close()
