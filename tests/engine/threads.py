"""Work in another thread, which has a connection of its own, as another process would."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection

from engine.copies import execute


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[list]:
    """Run the work beside the block. The list gets what it returns or raises, at the latest when
    the block has ended."""
    ended = []

    def run():
        try:
            ended.append(work())
        except Exception as error:
            ended.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ended
    finally:
        thread.join()


@contextmanager
def waiting(work: Callable[[], object]) -> Iterator[list]:
    """Run the work beside the block, which begins once the work waits for a lock."""
    with beside(work) as ended:
        while not execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
            assert not ended
            time.sleep(0.001)
        yield ended
