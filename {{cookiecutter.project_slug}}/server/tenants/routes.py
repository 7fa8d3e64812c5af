"""Where a host leads. What leads nowhere is remembered for a moment, so that asking for it again
and again costs no query."""

import time

from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from server.tenants.models import Domain, Tenant

MOST_UNKNOWN = 10_000
SECONDS = 5

unknown: dict[str, float] = {}  # host → until when it isn't looked up again


def find(host: str) -> Tenant | None:
    """The active tenant to which the normalised `host` leads."""
    # What is learned from a query goes with what was known before it: `forget` may come between.
    known = unknown
    if known.get(host, 0) > time.monotonic():
        return None
    tenant = Tenant.objects.filter(domains__domain=host, status=Tenant.Status.ACTIVE).first()
    if tenant is None:
        if len(known) >= MOST_UNKNOWN:
            known.clear()
        known[host] = time.monotonic() + SECONDS
    return tenant


@receiver(post_save, sender=Domain)
@receiver(post_save, sender=Tenant)
def forget_now_and_after_the_commit(**signal) -> None:
    """Until the commit, other threads go on learning what has been."""
    forget()
    transaction.on_commit(forget)


def forget() -> None:
    global unknown
    unknown = {}
