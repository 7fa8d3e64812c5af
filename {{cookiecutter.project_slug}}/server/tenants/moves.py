"""Which moves of a tenant are legal; each happens under a lock, with a line in the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django_tenants.utils import get_public_schema_name, schema_context

from server.tenants.models import Tenant, TenantChange

PROVISIONING, ACTIVE, SUSPENDED, DELETED, PURGING = Tenant.Status

# What a tenant must be for the move, and what it is then: the same as before where None.
MOVES = {
    "provision": ([PROVISIONING], ACTIVE),
    "abandon": ([PROVISIONING], None),
    "suspend": ([ACTIVE], SUSPENDED),
    "resume": ([SUSPENDED], ACTIVE),
    "rename": ([ACTIVE, SUSPENDED], None),
    "rename schema": ([SUSPENDED], None),
    "create schema": ([ACTIVE, SUSPENDED, DELETED], None),
    "transfer": ([ACTIVE, SUSPENDED], None),
    "delete": ([ACTIVE, SUSPENDED], DELETED),
    "undelete": ([DELETED], None),  # to what it was
    "clone": ([ACTIVE, SUSPENDED], None),
    "back up": ([ACTIVE, SUSPENDED, DELETED], None),
    "purge": ([DELETED, PURGING], PURGING),
    "enter": ([ACTIVE, SUSPENDED, DELETED], None),  # by `server.tenants.members`
}
OF_PEOPLE = ("transfer", "enter")


def end_of_grace(tenant: Tenant) -> datetime:
    """Until when a deleted tenant is kept."""
    return tenant.deleted + timedelta(days=settings.TENANT_GRACE_DAYS)


class LifecycleError(Exception):
    """A tenant isn't made or changed; the message is a sentence for the person who asked for it."""


class IllegalMove(LifecycleError):
    """The tenant's state doesn't allow the move. `args` are the move, the slug and the reason."""

    def __str__(self):
        move, slug, reason = self.args
        return f"Can't {move} “{slug}”: {reason}."


def check_legal(move: str, tenant: Tenant) -> None:
    """Raises IllegalMove. Of the public tenant nothing but its people change."""
    starts, _ = MOVES[move]
    if tenant.schema_name == get_public_schema_name() and move not in OF_PEOPLE:
        raise IllegalMove(move, tenant.slug, "it is the main website")
    if tenant.status not in starts:
        raise IllegalMove(move, tenant.slug, f"it is {tenant.status}, not {' or '.join(starts)}")


def read(move: str, tenant: Tenant, *, lock: bool = False) -> Tenant:
    """The tenant as the database has it now. Raises IllegalMove if its state forbids the move."""
    rows = Tenant.everything.all()
    if lock:
        # Who signs in or joins refers to the row, and needn't wait.
        rows = rows.select_for_update(no_key=True)
    try:
        row = rows.get(pk=tenant.pk)
    except Tenant.DoesNotExist:
        raise IllegalMove(move, tenant.slug, "it is purged") from None
    check_legal(move, row)
    return row


@contextmanager
def moving(move: str, tenant: Tenant, by: str) -> Iterator[tuple[Tenant, TenantChange]]:
    """A transaction in public with the tenant's row, locked, and the line that the log will have.

    The row comes in its new state; both are saved when the block ends. Raises IllegalMove.
    """
    _, end = MOVES[move]
    with schema_context(get_public_schema_name()), transaction.atomic():
        row = read(move, tenant, lock=True)
        change = line(move, row, by)
        row.status = end or row.status
        yield row, change
        change.after = change.after or row.status
        row.save()
        change.save()


def line(move: str, tenant: Tenant, by: str, after: str = "") -> TenantChange:
    """For the log, not saved yet."""
    return TenantChange(
        by=by,
        move=move,
        slug=tenant.slug,
        schema_name=tenant.schema_name,
        before=tenant.status,
        after=after,
    )
