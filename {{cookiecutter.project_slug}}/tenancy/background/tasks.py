"""Public tasks: for each tenant, for making tenants, and for beat.

If a worker is killed, its task from beat isn't repeated: beat sends the next one.
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

from tenancy import history, lifecycle
from tenancy.background.messages import HEADER
from tenancy.background.task import PUBLIC
from tenancy.concrete import Tenant
from tenancy.copies import jobs
from tenancy.exceptions import IllegalTransition, LifecycleError, SlugTaken
from tenancy.lifecycle.provisioning import FAILED
from tenancy.models import SIGN_UP
from tenancy.schemas import spares
from tenancy.schemas.migrate_signals import progress

SLICES = 60
INTERRUPTED_AFTER = timedelta(minutes=10)


@shared_task(public=True, acks_late=False)
def in_each_tenant(task, args=(), kwargs=None, slugs=None, window=600):
    """Send `task`, by its name, to each active tenant, or to those among `slugs`.

    The messages are spread over `window` seconds; a tenant always gets its own at the same moment
    of the window. Raises NotRegistered if there is no such task.
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
    """Purge the tenants whose grace period is over, each in a task of its own."""
    over = timezone.now() - timedelta(days=settings.TENANT_GRACE_DAYS)
    due = Q(status=Tenant.Status.DELETED, deleted__lte=over) | Q(status=Tenant.Status.PURGING)
    for pk in Tenant.all_objects.filter(due).values_list("pk", flat=True):
        purge.delay(pk)


@shared_task(public=True, acks_late=False, throws=LifecycleError)
def purge(pk):
    lifecycle.purge(Tenant.all_objects.get(pk=pk), by="beat")


@shared_task(public=True, acks_late=False)
def prune_history():
    """Delete the lines of the log that are older than TENANCY_HISTORY_DAYS."""
    history.prune()


@shared_task(public=True, acks_late=False)
def make_spare_schemas():
    """Make schemas for tenants to come until SPARE_SCHEMAS are ready."""
    spares.try_to_refill(waits=False)  # a slow one would hold up a process each minute


@shared_task(public=True, acks_late=False)
def check_domains():
    """Look up the DNS records of customers' domains, each in a task of its own."""
    from tenancy.domains import claims  # it needs dnspython, a tenth of each process' start

    claims.delete_old()
    for pk in claims.due().values_list("pk", flat=True):
        check_domain.delay(pk)


@shared_task(public=True, acks_late=False, throws=LifecycleError)
def check_domain(pk):
    from tenancy.domains import claims  # as above

    if claim := claims.due().filter(pk=pk).first():  # not one that waits twice in the queue
        claims.check(claim, by="beat")


@shared_task(public=True, bind=True, max_retries=5, ignore_result=True)
def make_tenant(self, pk, by):
    """Make a reserved tenant. It is made once, however often the task runs.

    A failure is shown with the tenant and retried; `resume_unfinished` comes after the last retry.
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
        """Another process was quicker."""
    except Exception as error:
        if not isinstance(error, SlugTaken):  # another process makes it, or was just killed
            with suppress(DatabaseError, InterfaceError):  # the database may be away
                show(f"{FAILED}: {error}")
        raise self.retry(exc=error, countdown=2**self.request.retries) from error


@shared_task(public=True, acks_late=False)
def resume_unfinished():
    """Make the tenants that were reserved a while ago: a message or a process was lost.

    An interrupted clone or restore is left to the person who began it.
    """
    unfinished = Tenant.all_objects.filter(
        status=Tenant.Status.PROVISIONING,
        origin__in=("", SIGN_UP),
        created__lt=timezone.now() - INTERRUPTED_AFTER,
    )
    for pk in unfinished.values_list("pk", flat=True):
        make_tenant.delay(pk, "beat")


# An export may take longer than other tasks. A message that comes twice is done once.
@shared_task(public=True, acks_late=False, soft_time_limit=55 * 60, time_limit=60 * 60)
def run_data_job(pk):
    """Do what the owner of a workspace has asked for on the page of its data."""
    jobs.run(pk)


@shared_task(public=True, acks_late=False)
def clean_up_data():
    """Remove exports that have expired, and archives of tenants that were purged a while ago."""
    jobs.clean_up()
