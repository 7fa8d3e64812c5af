"""Several threads that share work, each with a connection of its own.

Python waits for PostgreSQL most of the time. So threads are as fast as processes here, and none of
them can be killed while the command goes on.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from django.db import connections


def share(left: deque, work: Callable[[object], None], connection, number: int) -> None:
    """Call `work` in as many threads, each with a connection of its own; return when all end.

    It takes from `left` by `taken`. If one raises, nothing is left for the others, and the error is
    raised here. Ctrl-C also cancels what their connections are executing. A single one runs in this
    thread, with the connection that is given.
    """
    if number < 2:
        return work(connection)
    opened = []

    def run():
        own = connections[connection.alias]
        opened.append(own)
        try:
            work(own)
        except BaseException:
            left.clear()
            raise
        finally:
            connections.close_all()  # this thread's

    with ThreadPoolExecutor(number) as pool:
        futures = [pool.submit(run) for _ in range(number)]
        try:
            for future in futures:
                future.result()
        except KeyboardInterrupt:
            left.clear()
            for own in opened:
                if driver := own.connection:
                    driver.cancel()
            raise


def taken(left: deque) -> Iterator:
    """Yield and remove what is left. Other threads may do so at the same time."""
    while True:
        try:
            one = left.popleft()
        except IndexError:
            return
        yield one
