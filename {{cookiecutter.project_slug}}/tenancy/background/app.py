"""The Celery app: its messages name their tenant, and its workers start without connections."""

import sys

import django
from celery.canvas import Signature
from celery.signals import setup_logging, worker_init
from django.apps import apps
from django.db import connections
from tenant_schemas_celery import app as library


class CeleryApp(library.CeleryApp):
    task_cls = "tenancy.background.task:TenantTask"

    def signature(self, *args, **kwargs):
        """Return a signature that enters the tenant it names when Celery calls it."""
        # These need the settings, which need `server`, which makes the app.
        from tenancy.background.messages import HEADER
        from tenancy.background.task import TenantSignature

        found = super().signature(*args, **kwargs)
        names_tenant = HEADER in (found.options.get("headers") or {})
        is_single = type(found) is Signature
        return TenantSignature(found, app=self) if is_single and names_tenant else found

    def _get_backend(self):
        """Return the result backend, which stores a result where the task was sent."""
        set_up_django()
        from tenancy.background.results import StoresWhereSent

        backend = super()._get_backend()
        backend.__class__ = type(type(backend).__name__, (StoresWhereSent, type(backend)), {})
        return backend

    def send_task(self, name, args=None, kwargs=None, **options):
        """Send a task, as all of Celery's functions do in the end. Raises NoTenant."""
        set_up_django()
        from tenancy.background.messages import with_tenant

        return super().send_task(name, args, kwargs, **with_tenant(self, name, options))


def set_up_django() -> None:
    """Load the project's apps. `celery call` and `celery result` come without."""
    if not apps.ready:
        django.setup()


@setup_logging.connect
def keep_logging(**kwargs):
    """Do nothing. A connected receiver keeps Celery from replacing LOGGING."""


@worker_init.connect
def start_cleanly(sender, **kwargs):
    from tenancy.background.checks import check_classes  # needs the settings

    if errors := [*check_classes()]:
        sys.exit("\n".join(error.msg for error in errors))
    connections.close_all()  # this process needs none, and the forked ones must not share any
