"""What only one process does at a time, whatever machine it runs on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def only_one(name: str, on_wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Be the only one who does what `name` says, as when several machines are deployed at once.

    If another does it, `on_wait` is called once, which may raise to give up, and then it waits.
    """
    # On a connection of its own, which ends with the process: migrating closes the other.
    own = connection.copy()
    try:
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [name])
            (is_free,) = cursor.fetchone()
            if not is_free:
                if on_wait:
                    on_wait()
                cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
            yield
            # The end of the connection takes the server a moment to notice.
            cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [name])
    finally:
        own.close()
