"""The states of a tenant, and the transitions that are allowed between them.

A transition happens in a transaction that holds a lock on the tenant's row. It leaves a line in the
log, and a signal tells of it after the commit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.conf import settings
from django.db import transaction as database
from django.dispatch import Signal
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy import signals
from tenancy.concrete import Tenant
from tenancy.exceptions import IllegalTransition
from tenancy.models import Status, TenantEvent

PROVISIONING, ACTIVE, SUSPENDED, DELETED, PURGING = Status


class Transition(NamedTuple):
    starts: Sequence[Status]
    end: Status | None = None  # None: the state stays, or the caller sets it
    signal: Signal | None = None


TRANSITIONS = {
    "provision": Transition([PROVISIONING], ACTIVE, signals.provisioned),
    "abandon": Transition([PROVISIONING], None, signals.abandoned),
    "suspend": Transition([ACTIVE], SUSPENDED, signals.suspended),
    "resume": Transition([SUSPENDED], ACTIVE, signals.resumed),
    "change": Transition([ACTIVE, SUSPENDED], None, signals.changed),
    "rename": Transition([ACTIVE, SUSPENDED], None, signals.changed),
    "rename schema": Transition([SUSPENDED], None, signals.schema_renamed),
    "create schema": Transition([ACTIVE, SUSPENDED, DELETED], None, signals.schema_recreated),
    "transfer": Transition([ACTIVE, SUSPENDED], None, signals.transferred),
    "delete": Transition([ACTIVE, SUSPENDED], DELETED, signals.deleted),
    "undelete": Transition([DELETED], None, signals.undeleted),
    "clone": Transition([ACTIVE, SUSPENDED], None, signals.cloned),
    "back up": Transition([ACTIVE, SUSPENDED, DELETED], None, signals.backed_up),
    "restore": Transition([PROVISIONING], ACTIVE, signals.restored),
    "purge": Transition([DELETED, PURGING], PURGING, signals.purging),
    "enter": Transition([ACTIVE, SUSPENDED, DELETED]),  # memberships change: see people/members.py
}
# The public tenant's people change like any tenant's. Nothing else of it changes.
MEMBERSHIP_TRANSITIONS = ("transfer", "enter")


def end_of_grace(tenant: Tenant) -> datetime:
    """Return the time until which a deleted tenant is kept."""
    return tenant.deleted + timedelta(days=settings.TENANT_GRACE_DAYS)


def check_allowed(action: str, tenant: Tenant) -> None:
    """Raise IllegalTransition if the tenant's state doesn't allow the transition."""
    starts = TRANSITIONS[action].starts
    if tenant.schema_name == get_public_schema_name() and action not in MEMBERSHIP_TRANSITIONS:
        raise IllegalTransition(action, tenant.slug, "it is the main website")
    if tenant.status not in starts:
        reason = f"it is {tenant.status}, not {' or '.join(starts)}"
        raise IllegalTransition(action, tenant.slug, reason)


def fetch_for(action: str, tenant: Tenant, *, lock: bool = False) -> Tenant:
    """Read the tenant's row again. Raises IllegalTransition if its state forbids the transition."""
    rows = Tenant.all_objects.all()
    if lock:
        # NO KEY: sign-ins and new memberships refer to the row, and needn't wait.
        rows = rows.select_for_update(no_key=True)
    try:
        row = rows.get(pk=tenant.pk)
    except Tenant.DoesNotExist:
        raise IllegalTransition(action, tenant.slug, "it is purged") from None
    check_allowed(action, row)
    return row


@contextmanager
def transition(action: str, tenant: Tenant, by: str) -> Iterator[tuple[Tenant, TenantEvent]]:
    """Begin a transaction in public; yield the tenant's row, locked, and the line for the log.

    The row already has its new state. Both are saved when the block ends, and the signal is sent
    after the commit. Raises IllegalTransition.
    """
    with schema_context(get_public_schema_name()), database.atomic():
        row = fetch_for(action, tenant, lock=True)
        event = new_event(action, row, by)
        row.status = TRANSITIONS[action].end or row.status
        yield row, event
        event.after = event.after or row.status
        row.save()
        log_event(event, row)


def new_event(action: str, tenant: Tenant, by: str, after: str = "") -> TenantEvent:
    """Return a line for the log that is not saved yet."""
    return TenantEvent(
        by=by,
        action=action,
        slug=tenant.slug,
        schema_name=tenant.schema_name,
        before=tenant.status,
        after=after,
    )


def log_event(event: TenantEvent, tenant: Tenant, signal: Signal | None = None) -> None:
    """Save the line, and have the transition's signal sent after the commit.

    `signal` is sent instead of the one in TRANSITIONS.
    """
    event.save()
    send_transition(event, tenant, signal)


def send_transition(event: TenantEvent, tenant: Tenant, signal: Signal | None = None) -> None:
    """Send the transition's signal after the commit."""
    signal = signal or TRANSITIONS[event.action].signal
    if signal.has_listeners(Tenant):
        send = partial(signal.send_robust, sender=Tenant, tenant=tenant, event=event)
        database.on_commit(send, robust=True)
