"""Several threads that share work, each with a connection of its own.

Python waits for PostgreSQL most of the time. So threads are as fast as processes here, and none of
them can be killed while the command goes on.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import ceil

from django.db import DatabaseError, InterfaceError, connections

MANY = 1000  # with more items, READERS connections read at once
READERS = 2


def read_in_threads(
    connection, read: Callable[..., list], items: list, size: int | None = None
) -> list:
    """Return the rows that `read(connection, chunk)` returns for all chunks of `size` items.

    Without a size each reader has one chunk. The rows are in no order. One connection reads alone
    where a transaction is open on it, because the others wouldn't see what that has written.
    """
    readers = 1 if len(items) <= MANY or connection.in_atomic_block else READERS
    size = size or ceil(len(items) / readers) or 1
    chunks = deque(items[start : start + size] for start in range(0, len(items), size))
    rows = []

    def work(connection):
        for chunk in drain(chunks):
            rows.extend(read(connection, chunk))

    in_threads(chunks, work, connection, readers)
    return rows


def in_threads(left: deque, work: Callable[[object], None], connection, number: int) -> None:
    """Call `work(connection)` in `number` threads until all end, each with a connection of its own.

    `work` takes items from `left` by `drain`. The first error empties `left`, and is raised here. A
    thread that gets no connection leaves the work to the others, if there are any. Ctrl-C also
    cancels the statements that run. With `number` below 2, `work` runs in this thread, with the
    connection that is given.
    """
    if number < 2:
        return work(connection)
    opened, refused = [], []

    def run():
        own = connections[connection.alias]
        try:
            own.ensure_connection()
        except (DatabaseError, InterfaceError) as error:
            return refused.append(error)
        opened.append(own)
        try:
            return work(own)
        except BaseException:
            left.clear()
            raise
        finally:
            connections.close_all()  # this thread's

    with ThreadPoolExecutor(number) as pool:
        try:
            futures = [pool.submit(run) for _ in range(number)]
            for future in futures:
                future.result()
        except KeyboardInterrupt:
            left.clear()
            for own in opened:
                with suppress(Exception):  # it may have none by now
                    own.connection.cancel()
            raise
    if not opened:
        raise refused[0]
    return None


def drain(left: deque) -> Iterator:
    """Yield and remove the items. Other threads may drain the same ones."""
    while True:
        try:
            one = left.popleft()
        except IndexError:
            return
        yield one
