"""The current tenant: of a thread, or of a task in an event loop.

It is in a context variable. asyncio's tasks, `to_thread`, and asgiref's `sync_to_async` and
`async_to_sync` take that along. A new thread begins in public.
"""

from contextvars import ContextVar
from typing import Any, NamedTuple, Optional

from django.conf import settings
from django_tenants.utils import get_public_schema_name, quote_schema_name


class NamedSchema:
    """Stands for a tenant of which only the schema's name is known."""

    def __init__(self, schema_name: str):
        self.schema_name = schema_name


class Place(NamedTuple):
    """Where queries go."""

    tenant: Any  # with a `schema_name`; None where no query may run
    include_public: bool
    schema_name: str | None
    search_path: str | None  # as SQL
    before: Optional["Place"] = None  # the place to return to if an assignment is undone


def search_path_of(*names: str) -> str:
    """Return the search_path of the schemas and of those that the settings name, as SQL."""
    extra = getattr(settings, "PG_EXTRA_SEARCH_PATHS", ())
    return ", ".join(map(quote_schema_name, (*names, *extra)))


def public_place() -> Place:
    name = get_public_schema_name()
    return Place(NamedSchema(name), True, name, search_path_of(name))


PUBLIC = public_place()
current: ContextVar[Place] = ContextVar("current", default=PUBLIC)
