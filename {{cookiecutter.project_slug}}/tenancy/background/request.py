"""What a worker's main process holds of a task that another process runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import Reject
from celery.worker.request import Request

from tenancy.background.messages import HEADER
from tenancy.background.task import coming_back, enter_or_nowhere


class TenantRequest(Request):
    """Where the task's process can't tell of a failure any more, the main process sends
    `task_failure`, and calls the task's `on_failure` and `after_return` where it took too long. It
    does so in the task's tenant.
    """

    def on_timeout(self, soft, timeout):
        with entering(self):
            super().on_timeout(soft, timeout)

    def on_failure(self, exc_info, send_failed_event=True, return_ok=False):
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):  # as threads hand it over
            error = error.exc
        told = return_ok and not isinstance(error, Reject)
        if told:  # by the process: while a database is away this one needn't wait for it
            return super().on_failure(exc_info, send_failed_event, return_ok)
        with entering(self):
            return super().on_failure(exc_info, send_failed_event, return_ok)


@contextmanager
def entering(request: Request) -> Iterator[None]:
    with coming_back():
        enter_or_nowhere(request.task, request.request_dict.get(HEADER))
        yield
