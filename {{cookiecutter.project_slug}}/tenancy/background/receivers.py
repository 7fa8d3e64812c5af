from functools import partial

from django.db import transaction
from django.dispatch import receiver
from django_tenants.signals import schema_needs_to_be_sync

from tenancy.background.tasks import make_tenant
from tenancy.concrete import Tenant


@receiver(schema_needs_to_be_sync)
def make_in_background(tenant: Tenant, requested_by: str | None = None, **kwargs):
    """Have a worker make a requested tenant. Others are made by the process that reserved them."""
    if requested_by is not None:
        transaction.on_commit(partial(make_tenant.delay, tenant.pk, requested_by))
