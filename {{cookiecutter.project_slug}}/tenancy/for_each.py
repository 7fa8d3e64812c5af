"""Code on every tenant, one after the other: where it fails in one, the next has its turn."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from django.core.management import CommandError
from django.db import connection, transaction
from django.db.models import QuerySet
from django_tenants.utils import get_public_schema_name

from tenancy.concrete import Tenant
from tenancy.exceptions import SomeFailed, one_line

logger = logging.getLogger(__name__)


def each_tenant(
    tenants: QuerySet[Tenant] | None = None,
) -> Iterator[AbstractContextManager[Tenant]]:
    """Turns, one for each tenant: the active ones but the main website, or those of the queryset.

        for turn in each_tenant():
            with turn as tenant:
                ...

    The block runs in the tenant. An exception in it is logged and ends this turn only; after the
    last one SomeFailed is raised if there were any, unless the loop was left before. A tenant that
    isn't in the queryset any more when its turn comes, being suspended or purged, is left out.
    Inside a transaction each turn has a savepoint.
    """
    if tenants is None:
        tenants = Tenant.objects.active().exclude(schema_name=get_public_schema_name())
    reasons: dict[str, str] = {}
    total = 0
    for key in dict.fromkeys(tenants.values_list("pk", flat=True)):  # a join has some twice
        if tenant := tenants.filter(pk=key).first():
            total += 1
            yield step_in(tenant, reasons)
    if reasons:
        raise SomeFailed(reasons, total)


@contextmanager
def step_in(tenant: Tenant, reasons: dict[str, str]) -> Iterator[Tenant]:
    in_transaction = connection.in_atomic_block
    try:
        with tenant, transaction.atomic() if in_transaction else nullcontext():
            yield tenant
    except Exception as error:
        reasons[tenant.slug] = one_line(error)
        # A CommandError is a message for people.
        trace = None if isinstance(error, CommandError) else error
        logger.exception(f"{tenant.schema_name}: {reasons[tenant.slug]}", exc_info=trace)
    finally:
        if not in_transaction:
            reset_connection()


def reset_connection() -> None:
    """Close a connection that has failed, or was left in a transaction: the next turn opens one."""
    if connection.connection is not None and not connection.is_outside_transaction():
        connection.close()
    if connection.in_atomic_block:  # it was interrupted when it began or ended a transaction
        connection.connect()  # else Django opens none
    connection.close_if_unusable_or_obsolete()
