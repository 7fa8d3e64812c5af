"""The class of all tasks: the body runs in the tenant that sent the task, or not at all.

`@shared_task(public=True)` says of a task that it runs in public, whoever sends it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery import current_task
from celery.canvas import Signature
from celery.exceptions import Reject, Retry
from celery.signals import task_internal_error, task_postrun, task_prerun
from celery.utils.time import get_exponential_backoff_interval
from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    connections,
)
from django_tenants.postgresql_backend.base import FakeTenant
from django_tenants.utils import get_public_schema_name
from tenant_schemas_celery import task as library

from tenancy.background.messages import HEADER, addressed, runs_in_public
from tenancy.concrete import Tenant
from tenancy.exceptions import NoTenant, TenantGone, TenantNotActive
from tenancy.requests.routes import CHANNEL, MAX_CACHED_HOSTS, copy_of

PUBLIC = get_public_schema_name()
NOWHERE = FakeTenant("nowhere")  # a schema that no tenant can have
WAITED = "_waited"  # how often the database was away
LONGEST_WAIT = 60  # seconds
CALL_OTHERS = ("celery.map", "celery.starmap")  # directly, where they are themselves

logger = logging.getLogger(__name__)

# What raises in a signal's receiver is logged, and the task runs all the same. These are the
# library's, which enter the tenant there; ours does so where a task may fail.
task_prerun.disconnect(dispatch_uid="tenant_schemas_switch_schema")
task_postrun.disconnect(dispatch_uid="tenant_schemas_restore_schema")


class TenantTask(library.TenantTask):
    abstract = True
    public = False
    Request = "tenancy.background.request:TenantRequest"

    @property
    def retry_on_worker_lost(self):
        """Celery asks: one that comes back does so `max_retries` times, and not for ever."""
        return self.acks_late

    def before_start(self, task_id, args, kwargs):
        """Enter the tenant. Raises NoTenant, TenantGone or TenantNotActive.

        While the database is away the message is sent again, with a growing pause and for as long
        as it takes; the task's own retries aren't used up.
        """
        super().before_start(task_id, args, kwargs)
        schema_name = (self.request.headers or {}).get(HEADER)
        is_eager = self.request.is_eager
        try:
            if not is_eager:
                close_old_connections()
            if not is_eager or self.public or schema_name != connection.schema_name:
                connection.set_tenant(tenant_of(self, schema_name))
        except BaseException as error:
            # Whatever is called because of the failure finds no schema at all.
            connection.set_tenant_unchecked(NOWHERE, include_public=False)
            if not is_eager and isinstance(error, (InterfaceError, OperationalError)):
                self.send_again(error)
            raise
        self.request.entered = connection.schema_name

    def __call__(self, *args, **kwargs):
        """Called directly, a task is a function like others, in the current tenant.

        Celery so calls what is mapped. What the body enters it leaves, before anything else hears
        of how the task ended.
        """
        with coming_back():
            if self.request.called_directly or self.request.get("running"):
                if current_task and current_task.name in CALL_OTHERS:
                    connection.set_tenant(tenant_of(self, connection.schema_name))
                return super().__call__(*args, **kwargs)
            if self.request.get("entered") != connection.schema_name:
                raise NoTenant(
                    f"{self.name} has a before_start of its own: it must call super()'s."
                )
            self.request.running = True
            return self.run(*args, **kwargs)

    def signature_from_request(self, request=None, *args, **options):
        """What is retried keeps its tenant, also where it is given headers of its own."""
        request = self.request if request is None else request
        if options.get("headers") and (schema_name := (request.headers or {}).get(HEADER)):
            options["headers"] = {HEADER: schema_name} | options["headers"]
        return super().signature_from_request(request, *args, **options)

    def apply(self, args=None, kwargs=None, **options):
        """Run the task here and now, and come back to the current tenant."""
        options = addressed(self.app, self.name, options)
        with coming_back():
            return super().apply(args, kwargs, **options)

    def send_again(self, error: Exception):
        """Raises Retry, or has the broker keep the message if it can't be sent."""
        headers = self.request.headers or {}
        waited = headers.get(WAITED, 0)
        signature = self.signature_from_request(
            self.request,
            countdown=get_exponential_backoff_interval(2, waited, LONGEST_WAIT, full_jitter=True),
            retries=self.request.retries,
            headers=headers | {WAITED: waited + 1},
        )
        try:
            signature.apply_async()
        except Exception as reason:
            raise Reject(reason, requeue=True) from error
        raise Retry(exc=error, when=signature.options["countdown"], sig=signature) from error


class Addressed(Signature):
    """One that names its tenant, which Celery calls as a function: what is linked to an error, in
    whatever process noticed that."""

    def __call__(self, *args, **kwargs):
        with coming_back():
            connection.set_tenant(tenant_of(self.type, self.options["headers"][HEADER]))
            return super().__call__(*args, **kwargs)


def enter_or_nowhere(task: TenantTask, schema_name: str | None) -> None:
    """Be where the task ran, for who hears that it failed; in no schema where that can't be."""
    try:
        connection.set_tenant(tenant_of(task, schema_name))
    except Exception as error:
        logger.warning(f"Who hears that {task.name} failed is in no schema: {error}")
        connection.set_tenant_unchecked(NOWHERE, include_public=False)


def tenant_of(task: TenantTask, schema_name: str | None):
    """What to enter for a task that was sent in the schema. Raises as `before_start` does."""
    if task.public:
        schema_name = PUBLIC
    if schema_name in (PUBLIC, None):
        if not runs_in_public(task.app, task.name):
            raise NoTenant(f"{task.name} was sent in public, and isn't declared with public=True.")
        connection.cache_for(CHANNEL)  # notices a database that is away
        return FakeTenant(PUBLIC)
    return find(schema_name)


def find(schema_name: str) -> Tenant:
    """The active tenant with the schema: each time an object of its own, from memory where no
    change was heard of. Raises TenantGone or TenantNotActive."""
    active = connection.cache_for(CHANNEL).setdefault("schemas", {})
    tenant = active.get(schema_name)
    if tenant is None:
        # Over the connection that hears of changes.
        with coming_back():
            connection.set_schema_to_public()
            tenants = Tenant.all_objects.using(DEFAULT_DB_ALIAS)
            tenant = tenants.filter(schema_name=schema_name).first()
        if tenant is None:
            raise TenantGone(f"No tenant has the schema “{schema_name}”.")
        if tenant.status != Tenant.Status.ACTIVE:
            raise TenantNotActive(f"The tenant with the schema “{schema_name}” is {tenant.status}.")
        if len(active) >= MAX_CACHED_HOSTS:
            active.clear()
        active[schema_name] = tenant
    return copy_of(tenant)


@contextmanager
def coming_back() -> Iterator[None]:
    """Be where the connection was before when the block ends. The library's contexts would let it
    see public, too, where it was nowhere."""
    before = connection.tenant, connection.include_public_schema
    try:
        yield
    finally:
        connection.set_tenant_unchecked(*before)


@task_internal_error.connect
def come_back(sender, request, **kwargs):
    """Celery calls the task's handlers again where one of them has raised, after `task_postrun`."""
    if not request.get("is_eager"):
        enter_or_nowhere(sender, request.get(HEADER))


@task_prerun.connect
@task_postrun.connect
def leave(sender, **kwargs):
    """Be in public and in no transaction: one that is left open, as by a task that was interrupted
    when it began or ended it, would be that of all that the process does from then on."""
    if sender.request.is_eager:
        return
    connection.leave_tenant()
    for each in connections.all(initialized_only=True):
        if each.in_atomic_block:
            each.close()
            each.connect()  # else Django opens none
