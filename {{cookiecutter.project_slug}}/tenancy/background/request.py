"""How a worker's main process sees a task that a child process runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import Reject
from celery.worker.request import Request

from tenancy.background.messages import HEADER
from tenancy.background.task import enter_or_nowhere, restoring_tenant


class TenantRequest(Request):
    """Reports failures in the task's tenant.

    If the child process can't report a failure any more, the main process sends `task_failure`; for
    a task that ran out of time it also calls the task's `on_failure` and `after_return`.
    """

    def on_timeout(self, soft, timeout):
        with entering(self):
            super().on_timeout(soft, timeout)

    def on_failure(self, exc_info, send_failed_event=True, return_ok=False):
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):  # from a pool of threads
            error = error.exc
        if return_ok and not isinstance(error, Reject):
            # The child process has reported it. Don't wait for a database that is away.
            return super().on_failure(exc_info, send_failed_event, return_ok)
        with entering(self):
            return super().on_failure(exc_info, send_failed_event, return_ok)


@contextmanager
def entering(request: Request) -> Iterator[None]:
    with restoring_tenant():
        enter_or_nowhere(request.task, request.request_dict.get(HEADER))
        yield
