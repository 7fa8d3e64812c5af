"""Public tasks for beat: one that sends another to the tenants, and purging after the grace time.

None of them is sent again when its worker is killed: beat will come again.
"""

from collections import defaultdict
from datetime import timedelta
from zlib import crc32

from celery import current_app, shared_task
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from server.background.messages import HEADER
from server.background.task import PUBLIC
from server.tenants import lifecycle
from server.tenants.models import Tenant

SLICES = 60


@shared_task(public=True, acks_late=False)
def in_each_tenant(task, args=(), kwargs=None, slugs=None, window=600):
    """Send `task`, by its name, to each active tenant, or to those among `slugs`.

    They are sent in slices, over `window` seconds; a tenant is always in the same one. Raises
    NotRegistered where no task has the name.
    """
    current_app.tasks[task]
    tenants = Tenant.objects.active().exclude(schema_name=PUBLIC)
    if slugs is not None:
        tenants = tenants.filter(slug__in=slugs)
    slices = defaultdict(list)
    for schema_name in tenants.values_list("schema_name", flat=True):
        slices[crc32(schema_name.encode()) % SLICES].append(schema_name)
    for at, schema_names in slices.items():
        message = (task, schema_names, args, kwargs)
        in_these.apply_async(message, countdown=at * window / SLICES)


@shared_task(public=True, acks_late=False)
def in_these(task, schema_names, args, kwargs):
    for schema_name in schema_names:
        current_app.tasks[task].apply_async(args, kwargs, headers={HEADER: schema_name})


@shared_task(public=True, acks_late=False)
def purge_deleted():
    """Purge the tenants whose grace time is over, each in a task of its own."""
    over = timezone.now() - timedelta(days=settings.TENANT_GRACE_DAYS)
    to_go = Q(status=Tenant.Status.DELETED, deleted__lte=over) | Q(status=Tenant.Status.PURGING)
    for pk in Tenant.everything.filter(to_go).values_list("pk", flat=True):
        purge.delay(pk)


@shared_task(public=True, acks_late=False, throws=lifecycle.LifecycleError)
def purge(pk):
    lifecycle.purge(Tenant.everything.get(pk=pk), by="beat")
