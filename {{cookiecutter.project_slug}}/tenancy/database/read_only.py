"""A block in which PostgreSQL refuses every write, inside transactions and outside of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import connection, transaction

from tenancy.exceptions import ReadOnly

# Each connection puts it into force before it sends its next statement (`tenancy.database.base`).
is_wanted: ContextVar[bool] = ContextVar("read_only", default=False)


@contextmanager
def read_only() -> Iterator[None]:
    """Let all connections of this thread, or of this task in an event loop, only read.

    A write raises Django's InternalError, and the driver's ReadOnlySqlTransaction. Inside a
    transaction, such as a test's, it can write again after the block.
    """
    is_wanted.set(True)
    try:
        if connection.in_atomic_block:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION READ ONLY")
                yield
        else:
            yield
    finally:
        # Not by a token: a generator may be closed in another context than it began in.
        is_wanted.set(False)


def refuse(deed: str) -> None:
    """Raise ReadOnly inside the block, for a deed that PostgreSQL doesn't see."""
    if is_wanted.get():
        raise ReadOnly(f"A request that may only read can't {deed}.")
