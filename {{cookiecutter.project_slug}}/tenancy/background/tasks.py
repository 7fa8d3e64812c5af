"""Public tasks: one that sends another to the tenants, one that makes one, and those of beat.

Those of beat aren't sent again when their worker is killed: beat will come again.
"""

from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from zlib import crc32

from celery import current_app, shared_task
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Q
from django.utils import timezone

from tenancy import lifecycle
from tenancy.background.messages import HEADER
from tenancy.background.task import PUBLIC
from tenancy.concrete import Tenant
from tenancy.exceptions import IllegalTransition, LifecycleError, SlugTaken
from tenancy.schemas.migrate_signals import progress

SLICES = 60
A_WHILE = timedelta(minutes=10)


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
    for pk in Tenant.all_objects.filter(to_go).values_list("pk", flat=True):
        purge.delay(pk)


@shared_task(public=True, acks_late=False, throws=LifecycleError)
def purge(pk):
    lifecycle.purge(Tenant.all_objects.get(pk=pk), by="beat")


@shared_task(public=True, bind=True, max_retries=5, ignore_result=True)
def make_tenant(self, pk, by):
    """Make a tenant that was reserved. Whether it runs once or again, the tenant is made once.

    What fails is shown with the tenant, and tried again, in the end by `resume_unfinished`.
    """
    rows = Tenant.all_objects.filter(pk=pk, status=Tenant.Status.PROVISIONING)
    tenant = rows.first()
    if tenant is None:
        return

    def show(message):
        Tenant._base_manager.filter(pk=pk).update(progress=message)

    try:
        with progress(show):
            lifecycle.finish(tenant, by)
    except IllegalTransition:
        """Another was quicker."""
    except Exception as error:
        if not isinstance(error, SlugTaken):  # another is at it, or was killed just now
            with suppress(DatabaseError, InterfaceError):  # it may be away
                show(f"It is tried again, for it failed: {error}")
        raise self.retry(exc=error, countdown=2**self.request.retries) from error


@shared_task(public=True, acks_late=False)
def resume_unfinished():
    """Have the tenants made that were reserved a while ago: a message or a process was lost.

    What a killed clone or restore has left is for whoever asked for it.
    """
    left = Tenant.all_objects.filter(
        status=Tenant.Status.PROVISIONING, origin="", created__lt=timezone.now() - A_WHILE
    )
    for pk in left.values_list("pk", flat=True):
        make_tenant.delay(pk, "beat")
