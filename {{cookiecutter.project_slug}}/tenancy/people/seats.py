"""The seats of a workspace. Its members take them, and the people who are invited now."""

from typing import NamedTuple

from django.utils.translation import ngettext

from tenancy.concrete import Tenant
from tenancy.exceptions import NoSeat
from tenancy.models import Invitation


class Seats(NamedTuple):
    taken: int
    limit: int | None  # None: as many as they like


def seats_of(tenant: Tenant) -> Seats:
    invited = Invitation.objects.filter(tenant=tenant).open().count()
    return Seats(tenant.user_set.count() + invited, tenant.limit("seats"))


def require_seat(tenant: Tenant) -> None:
    """Raise NoSeat unless a seat is free.

    The transaction must have a lock on the tenant's row, so that two people at once don't get the
    last seat.
    """
    taken, limit = seats_of(tenant)
    if limit is not None and taken >= limit:
        text = ngettext(
            "The only seat of this workspace is taken.",
            "All %(limit)d seats of this workspace are taken.",
            limit,
        )
        raise NoSeat(text % {"limit": limit})
