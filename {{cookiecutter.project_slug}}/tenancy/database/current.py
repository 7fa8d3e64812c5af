"""The current tenant: of a thread, or of a task in an event loop.

It is in a context variable. asyncio's tasks, `to_thread`, and asgiref's `sync_to_async` and
`async_to_sync` take that along. A new thread begins in public.
"""

import functools
from contextvars import ContextVar
from typing import Any, NamedTuple, Optional

from django_tenants.postgresql_backend import base
from django_tenants.utils import get_public_schema_name, quote_schema_name


class Place(NamedTuple):
    """Where queries go."""

    tenant: Any  # with a `schema_name`; None where no query may run
    include_public: bool
    schema_name: str | None
    search_path: str | None  # as SQL
    before: Optional["Place"] = None  # the place to return to if an assignment is undone


def place_of(tenant, include_public: bool = True) -> Place:
    """Return the tenant's place. Raises ValidationError if a name in its search_path is invalid."""
    if tenant is None:
        return Place(None, include_public, None, None)
    name = tenant.schema_name
    return Place(tenant, include_public, name, search_path_of(name, include_public))


@functools.lru_cache(maxsize=10_000)
def search_path_of(schema_name: str, include_public: bool) -> str:
    names = [schema_name, *base.EXTRA_SEARCH_PATHS]
    if include_public and schema_name != get_public_schema_name():
        names.insert(1, get_public_schema_name())
    for name in names:
        base._check_schema_name(name)
    return ", ".join(map(quote_schema_name, names))


PUBLIC = place_of(base.FakeTenant(get_public_schema_name()))
current: ContextVar[Place] = ContextVar("current", default=PUBLIC)
