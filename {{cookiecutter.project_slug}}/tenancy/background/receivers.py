from functools import partial

from django.db import transaction
from django.dispatch import receiver
from django_tenants.signals import schema_needs_to_be_sync

from tenancy.background.tasks import make_tenant, run_data_job
from tenancy.concrete import Tenant
from tenancy.signals import data_job_asked


@receiver(schema_needs_to_be_sync)
def make_in_background(tenant: Tenant, requested_by: str | None = None, **kwargs):
    """Have a worker make a requested tenant. Others are made by the process that reserved them."""
    if requested_by is not None:
        transaction.on_commit(partial(make_tenant.delay, tenant.pk, requested_by))


@receiver(data_job_asked)
def run_in_background(pk: int, **kwargs) -> bool:
    """Have a worker do a job on a workspace's data."""
    run_data_job.delay(pk)
    return True
