"""The class of all tasks: a task runs in the tenant that sent it, or fails.

A task that is declared with `@shared_task(public=True)` always runs in public.
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

from tenancy.background.messages import HEADER, REQUEST, runs_in_public, with_tenant
from tenancy.concrete import Tenant
from tenancy.exceptions import NoTenant, TenantGone, TenantNotActive
from tenancy.isolation import logs
from tenancy.requests.routes import CHANNEL, MAX_CACHED_HOSTS, copy_of

PUBLIC = get_public_schema_name()
NOWHERE = FakeTenant("nowhere")  # a schema name that no tenant can have
WAITED = "_waited"  # the header that counts how often the database was away
LONGEST_WAIT = 60  # seconds
MAPPING_TASKS = ("celery.map", "celery.starmap")  # these call other tasks as functions

logger = logging.getLogger(__name__)

# The library enters the tenant in receivers of these signals. Celery only logs it if a receiver
# raises, and runs the task. `before_start` can fail the task.
task_prerun.disconnect(dispatch_uid="tenant_schemas_switch_schema")
task_postrun.disconnect(dispatch_uid="tenant_schemas_restore_schema")


class TenantTask(library.TenantTask):
    abstract = True
    public = False
    Request = "tenancy.background.request:TenantRequest"

    @property
    def retry_on_worker_lost(self):
        """Make Celery count a redelivery as a retry, so that `max_retries` ends them."""
        return self.acks_late

    def before_start(self, task_id, args, kwargs):
        """Enter the tenant. Raises NoTenant, TenantGone or TenantNotActive.

        While the database is away, the message is sent again with a growing delay. That doesn't use
        up the task's own retries.
        """
        super().before_start(task_id, args, kwargs)
        headers = self.request.headers or {}
        schema_name = headers.get(HEADER)
        is_eager = self.request.is_eager
        if not is_eager:
            logs.request_id.set(headers.get(REQUEST) or task_id)
        try:
            if not is_eager:
                close_old_connections()
            if not is_eager or self.public or schema_name != connection.schema_name:
                connection.set_tenant(tenant_for(self, schema_name))
        except BaseException as error:
            # The handlers of the failure must not run in another tenant's schema.
            connection.set_tenant_unchecked(NOWHERE, include_public=False)
            if not is_eager and isinstance(error, (InterfaceError, OperationalError)):
                self.send_again(error)
            raise
        self.request.entered = connection.schema_name

    def __call__(self, *args, **kwargs):
        """Run the body. A task that is called directly is a function in the current tenant.

        Celery calls tasks directly in `map` and `starmap`. If the body enters another tenant, the
        task's handlers run in its own again.
        """
        with restoring_tenant():
            if self.request.called_directly or self.request.get("running"):
                if current_task and current_task.name in MAPPING_TASKS:
                    connection.set_tenant(tenant_for(self, connection.schema_name))
                return super().__call__(*args, **kwargs)
            if self.request.get("entered") != connection.schema_name:
                raise NoTenant(
                    f"{self.name} has a before_start of its own: it must call super()'s."
                )
            self.request.running = True
            return self.run(*args, **kwargs)

    def signature_from_request(self, request=None, *args, **options):
        """Keep the tenant in a retry that gets headers of its own."""
        request = self.request if request is None else request
        if options.get("headers") and (schema_name := (request.headers or {}).get(HEADER)):
            options["headers"] = {HEADER: schema_name} | options["headers"]
        return super().signature_from_request(request, *args, **options)

    def apply(self, args=None, kwargs=None, **options):
        """Run the task in this process, and return to the current tenant."""
        options = with_tenant(self.app, self.name, options)
        with restoring_tenant():
            return super().apply(args, kwargs, **options)

    def send_again(self, error: Exception):
        """Raise Retry; or Reject, which leaves the message to the broker, if it can't be sent."""
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


class TenantSignature(Signature):
    """A signature that names its tenant, and is called there.

    Celery calls `link_error` as a function, in the process that noticed the error.
    """

    def __call__(self, *args, **kwargs):
        with restoring_tenant():
            connection.set_tenant(tenant_for(self.type, self.options["headers"][HEADER]))
            return super().__call__(*args, **kwargs)


def enter_or_nowhere(task: TenantTask, schema_name: str | None) -> None:
    """Enter the task's tenant for the handlers of its failure; no schema if that isn't possible."""
    try:
        connection.set_tenant(tenant_for(task, schema_name))
    except Exception as error:
        logger.warning(f"The handlers of {task.name}'s failure run in no schema: {error}")
        connection.set_tenant_unchecked(NOWHERE, include_public=False)


def tenant_for(task: TenantTask, schema_name: str | None):
    """Return the tenant to enter for a task that was sent in the schema.

    Raises NoTenant, TenantGone or TenantNotActive.
    """
    if task.public:
        schema_name = PUBLIC
    if schema_name in (PUBLIC, None):
        if not runs_in_public(task.app, task.name):
            raise NoTenant(f"{task.name} was sent in public, and isn't declared with public=True.")
        connection.cache_for(CHANNEL)  # raises if the database is away
        return FakeTenant(PUBLIC)
    return find_active(schema_name)


def find_active(schema_name: str) -> Tenant:
    """Return the active tenant with the schema, from memory until a change is notified.

    Each call returns an object of its own. Raises TenantGone or TenantNotActive.
    """
    active = connection.cache_for(CHANNEL).setdefault("schemas", {})
    tenant = active.get(schema_name)
    if tenant is None:
        # The default connection listens for changes.
        with restoring_tenant():
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
def restoring_tenant() -> Iterator[None]:
    """Return to the current tenant when the block ends.

    Unlike the library's contexts, it also returns to no schema at all.
    """
    before = connection.tenant, connection.include_public_schema
    try:
        yield
    finally:
        connection.set_tenant_unchecked(*before)


@task_internal_error.connect
def enter_again(sender, request, **kwargs):
    """Enter the tenant again: if a handler raises, Celery calls handlers after `task_postrun`."""
    if not request.get("is_eager"):
        enter_or_nowhere(sender, request.get(HEADER))


@task_prerun.connect
@task_postrun.connect
def leave(sender, **kwargs):
    """Leave the tenant, and any transaction that an interrupted task has left open.

    The process would otherwise run all its later work in that transaction.
    """
    if sender.request.is_eager:
        return
    logs.request_id.set("")
    connection.leave_tenant()
    for each in connections.all(initialized_only=True):
        if each.in_atomic_block:
            each.close()
            each.connect()  # resets in_atomic_block
