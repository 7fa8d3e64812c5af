"""The states of a tenant, and the transitions that are allowed between them.

A transition runs in a transaction with a lock on the tenant's row. It adds a line to the log and
sends a signal after the commit.
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
from tenancy.locks import advisory_lock
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
    "add domain": Transition([ACTIVE, SUSPENDED], None, signals.changed),
    "remove domain": Transition([ACTIVE, SUSPENDED, DELETED], None, signals.changed),
    "rename schema": Transition([SUSPENDED], None, signals.schema_renamed),
    "create schema": Transition([ACTIVE, SUSPENDED, DELETED], None, signals.schema_recreated),
    "transfer": Transition([ACTIVE, SUSPENDED], None, signals.transferred),
    "delete": Transition([ACTIVE, SUSPENDED], DELETED, signals.deleted),
    "undelete": Transition([DELETED], None, signals.undeleted),
    "clone": Transition([ACTIVE, SUSPENDED], None, signals.cloned),
    "back up": Transition([ACTIVE, SUSPENDED, DELETED], None, signals.backed_up),
    "export": Transition([ACTIVE, SUSPENDED]),  # has its own log
    "restore": Transition([PROVISIONING], ACTIVE, signals.restored),
    "purge": Transition([DELETED, PURGING], PURGING, signals.purging),
    "move": Transition([ACTIVE, SUSPENDED, DELETED]),  # to another node; has its own log
    "enter": Transition([ACTIVE, SUSPENDED, DELETED]),  # to change members; has its own log
}
# The main website allows only these.
MEMBERSHIP_TRANSITIONS = ("transfer", "enter")


def end_of_grace(tenant: Tenant) -> datetime:
    """Return the time until which a deleted tenant is kept."""
    return tenant.deleted + timedelta(days=settings.TENANT_GRACE_DAYS)


def fetch_for(action: str, tenant: Tenant, *, lock: bool = False) -> Tenant:
    """Read the tenant's row again. Raise IllegalTransition if its state forbids the transition."""
    rows = Tenant.all_objects.filter(pk=tenant.pk)
    if lock:
        # NO KEY: sign-ins and new memberships refer to the row, and need not wait.
        rows = rows.select_for_update(no_key=True)
    row = rows.first()
    reason = reason_against(action, row) if row else "it is purged"
    if reason:
        raise IllegalTransition(action, (row or tenant).slug, reason)
    return row


def reason_against(action: str, tenant: Tenant) -> str:
    """Return why the tenant's state forbids the transition, or ""."""
    starts = TRANSITIONS[action].starts
    if tenant.schema_name == get_public_schema_name() and action not in MEMBERSHIP_TRANSITIONS:
        return "it is the main website"
    if tenant.status not in starts:
        return f"it is {tenant.status}, not {' or '.join(starts)}"
    return ""


@contextmanager
def transition(action: str, tenant: Tenant, by: str) -> Iterator[tuple[Tenant, TenantEvent]]:
    """Begin a transaction in public; yield the tenant's locked row, and the line for the log.

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


@contextmanager
def exclusive(action: str, tenant: Tenant) -> Iterator[None]:
    """Enter public. Raise IllegalTransition if another process does the same to the tenant."""

    def refuse():
        raise IllegalTransition(action, tenant.slug, "another process is doing it right now")

    lock = advisory_lock(f"{action} {tenant.pk}", on_wait=refuse)
    with schema_context(get_public_schema_name()), lock:
        yield


def new_event(action: str, tenant: Tenant, by: str, after: str = "") -> TenantEvent:
    """Return a line for the log that is not saved yet."""
    names = {"slug": tenant.slug, "schema_name": tenant.schema_name}
    return TenantEvent(by=by, action=action, before=tenant.status, after=after, **names)


def log_event(event: TenantEvent, tenant: Tenant, signal: Signal | None = None) -> None:
    """Save the line. After the commit send `signal`, by default the transition's."""
    event.save()
    signal = signal or TRANSITIONS[event.action].signal
    if signal.has_listeners(Tenant):
        send = partial(signal.send_robust, sender=Tenant, tenant=tenant, event=event)
        database.on_commit(send, robust=True)
