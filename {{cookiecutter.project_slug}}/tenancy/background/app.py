"""The library's app, with messages that say whose they are, and a worker that begins cleanly."""

import sys

from celery.canvas import Signature
from celery.signals import setup_logging, worker_init
from django.db import connections
from tenant_schemas_celery import app as library


class CeleryApp(library.CeleryApp):
    task_cls = "tenancy.background.task:TenantTask"

    def signature(self, *args, **kwargs):
        """What Celery calls comes from here: where it names its tenant, it is called there."""
        from tenancy.background.messages import HEADER
        from tenancy.background.task import Addressed

        found = super().signature(*args, **kwargs)
        is_one = type(found) is Signature and HEADER in (found.options.get("headers") or {})
        return Addressed(found, app=self) if is_one else found

    def send_task(self, name, args=None, kwargs=None, **options):
        """All ways to send a task come here. Raises NoTenant."""
        from tenancy.background.messages import addressed  # needs the settings, which need `server`

        return super().send_task(name, args, kwargs, **addressed(self, name, options))


@setup_logging.connect
def keep_logging(**kwargs):
    """Nothing: that somebody listens keeps Celery from replacing what LOGGING says."""


@worker_init.connect
def begin(sender, **kwargs):
    from tenancy.background.checks import check_classes

    if errors := [*check_classes()]:
        sys.exit("\n".join(error.msg for error in errors))
    connections.close_all()  # this process asks nothing, and those that it forks share none
