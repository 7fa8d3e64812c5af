"""Run code in every tenant, one after the other. A failure in one doesn't stop the others."""

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
    """Yield a context manager for each tenant of the queryset, by default the active ones.

        for step in each_tenant():
            with step as tenant:
                ...

    The block runs in the tenant. An exception in it is logged and ends this step only; after the
    last step SomeFailed is raised. Each tenant is read when its step begins, and skipped if it has
    left the queryset, for example because it was suspended. Inside a transaction each step has a
    savepoint. The main website is only included if it is in the queryset.
    """
    if tenants is None:
        tenants = Tenant.objects.active().exclude(schema_name=get_public_schema_name())
    reasons: dict[str, str] = {}
    total = 0
    for key in dict.fromkeys(tenants.values_list("pk", flat=True)):  # a join may repeat some
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
        # A CommandError is a message for people and needs no traceback.
        trace = None if isinstance(error, CommandError) else error
        logger.exception(f"{tenant.schema_name}: {reasons[tenant.slug]}", exc_info=trace)
    finally:
        if not in_transaction:
            reset_connection()


def reset_connection() -> None:
    """Close the connection if it failed, or was left in a transaction. The next query opens one."""
    if connection.connection is not None and not connection.is_outside_transaction():
        connection.close()
    if connection.in_atomic_block:  # interrupted at the beginning or end of a transaction
        connection.connect()  # only this makes Django forget the transaction
    connection.close_if_unusable_or_obsolete()
