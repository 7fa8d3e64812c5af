from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import connection


@contextmanager
def undoing() -> Iterator[ExitStack]:
    """Yield a stack whose callbacks run if the block raises, the last one first.

    If the block raised because the connection was lost, they get a new one.
    """
    with ExitStack() as undo:
        try:
            yield undo
        except BaseException:
            if not connection.in_atomic_block:  # in a transaction this would close a good one
                connection.close_if_unusable_or_obsolete()
            raise
        undo.pop_all()
