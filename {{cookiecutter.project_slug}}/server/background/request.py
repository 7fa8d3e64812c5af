"""What a worker's main process holds of a task that another process runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery.exceptions import Reject
from celery.worker.request import Request
from django.db import connection

from server.background.messages import HEADER
from server.background.task import NOWHERE, coming_back, tenant_of

logger = logging.getLogger(__name__)


class TenantRequest(Request):
    """Where the task's process can't tell of a failure any more, the main process calls the task's
    `on_failure` and `after_return` and sends `task_failure`. It does so in the task's tenant.
    """

    def on_timeout(self, soft, timeout):
        with entering(self):
            super().on_timeout(soft, timeout)

    def on_failure(self, exc_info, send_failed_event=True, return_ok=False):
        told = return_ok and not isinstance(exc_info.exception, Reject)
        if told:  # by the process: while a database is away this one needn't wait for it
            return super().on_failure(exc_info, send_failed_event, return_ok)
        with entering(self):
            return super().on_failure(exc_info, send_failed_event, return_ok)


@contextmanager
def entering(request: Request) -> Iterator[None]:
    """Be in the tenant that sent the task, or in no schema where that can't be entered."""
    with coming_back():
        try:
            connection.set_tenant(tenant_of(request.task, request.request_dict.get(HEADER)))
        except Exception as error:
            logger.warning(f"Who hears that {request.name} failed is in no schema: {error}")
            connection.switch(NOWHERE, include_public=False)
        yield
