"""Stores a task's state and result where its sender looks for it.

A backend may keep results in the database, or in the cache with the tenant in the keys. A public
task runs elsewhere than its sender is, and a task whose tenant can't be entered runs nowhere.
"""

import logging
from collections.abc import Callable, Iterator

from django.db import ProgrammingError, connection
from django_tenants.postgresql_backend.base import FakeTenant

from tenancy.background.messages import HEADER
from tenancy.background.task import PUBLIC, restoring_tenant
from tenancy.lifecycle.schema_names import name_now

logger = logging.getLogger(__name__)


class StoresWhereSent:
    """Comes before a backend's class among the bases."""

    def store_result(self, task_id, result, state, traceback=None, request=None, **kwargs):
        def store():
            return super(StoresWhereSent, self).store_result(
                task_id, result, state, traceback=traceback, request=request, **kwargs
            )

        return where_sent(request, store)

    def on_chord_part_return(self, request, state, result, **kwargs):
        def count():
            return super(StoresWhereSent, self).on_chord_part_return(
                request, state, result, **kwargs
            )

        return where_sent(request, count)


def where_sent(request, store: Callable[[], object]) -> object:
    """Call `store` in the schema that the request was sent in, or where its tables are now.

    A suspended or deleted tenant has its tables still. If there are none, log a line.
    """
    sent_in = (getattr(request, "headers", None) or {}).get(HEADER)
    if sent_in in (None, connection.schema_name):
        return store()
    error = None
    for schema_name in places(sent_in):
        with restoring_tenant():
            connection.set_tenant_unchecked(FakeTenant(schema_name), include_public=True)
            try:
                return store()
            except ProgrammingError as reason:  # there is no such table
                error = error or reason
    logger.error(f"The result of {request.task} is lost with its tenant’s tables: {error}")
    return None


def places(sent_in: str) -> Iterator[str]:
    yield sent_in
    if renamed := name_now(sent_in):
        yield renamed
    yield PUBLIC
