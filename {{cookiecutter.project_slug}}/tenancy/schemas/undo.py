"""Undoing what was done where a later step fails."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import connection


@contextmanager
def undoing() -> Iterator[ExitStack]:
    """If anything is raised inside, the callbacks of the stack are called, the last one first.

    They have a connection also where it was the connection that failed.
    """
    with ExitStack() as undo:
        try:
            yield undo
        except BaseException:
            if not connection.in_atomic_block:  # it would close one that is
                connection.close_if_unusable_or_obsolete()
            raise
        undo.pop_all()
