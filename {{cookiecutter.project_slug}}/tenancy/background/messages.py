"""The headers that name a message's tenant and request, also in the signatures that it carries."""

from celery import Celery
from django.db import connection
from django_tenants.utils import get_public_schema_name

from tenancy.database import read_only
from tenancy.exceptions import NoTenant
from tenancy.isolation import logs

HEADER = "_schema_name"  # the library's name for it
REQUEST = "_request_id"
CARRIED = ("link", "link_error", "chain", "chord")
PARTS = {"chain": ["tasks"], "group": ["tasks"], "chord": ["header", "body"]}


def with_tenant(app: Celery, name: str, options: dict) -> dict:
    """Return the options for sending a task, with the current tenant and request in the headers.

    The signatures that the message carries get the tenant as well, because a public task may send
    them later. A tenant that is named already stays. Raises NoTenant.
    """
    sender = (options.get("headers") or {}).get(HEADER) or connection.schema_name
    origin = {REQUEST: request} if (request := logs.request_id.get()) else {}
    if not runs_in_public(app, name):
        read_only.refuse(f"send {name}")

    def add_headers(name: str, options: dict) -> dict:
        headers = {HEADER: sender} | origin | (options.get("headers") or {})
        if headers[HEADER] == get_public_schema_name() and not runs_in_public(app, name):
            raise NoTenant(
                f"{name} was sent in public: enter a tenant, or declare it with public=True."
            )
        return map_signatures(options, CARRIED, of_signature) | {"headers": headers}

    def of_signature(signature: dict) -> dict:
        kind, options = signature.get("subtask_type"), signature["options"]
        if kind not in PARTS:
            return {**signature, "options": add_headers(signature["task"], options)}
        return {
            **signature,
            "options": map_signatures(options, CARRIED, of_signature),
            "kwargs": map_signatures(signature["kwargs"], PARTS[kind], of_signature),
        }

    return add_headers(name, options)


def map_signatures(values: dict, keys, change) -> dict:
    """Return a copy with `change` applied to the signatures, or lists of them, under the keys."""

    def changed(value):
        return change(value) if isinstance(value, dict) else [changed(each) for each in value]

    return {**values} | {key: changed(values[key]) for key in keys if values.get(key)}


def runs_in_public(app: Celery, name: str) -> bool:
    """Return whether a task may be sent in public: a public one, or Celery's own.

    For a task that this process doesn't know, the worker decides.
    """
    task = app._tasks.get(name)  # `app.tasks` would import them all
    return task is None or name.startswith("celery.") or getattr(task, "public", False)
