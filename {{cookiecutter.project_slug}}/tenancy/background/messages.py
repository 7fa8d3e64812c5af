"""Whose a message is: the tenant in its headers, and in those of what is sent after it."""

from celery import Celery
from django.db import connection
from django_tenants.utils import get_public_schema_name

from tenancy.exceptions import NoTenant

HEADER = "_schema_name"  # the library's name for it
TAKEN_ALONG = ("link", "link_error", "chain", "chord")
PARTS = {"chain": ["tasks"], "group": ["tasks"], "chord": ["header", "body"]}


def addressed(app: Celery, name: str, options: dict) -> dict:
    """The options with which to send a task: those given, with the tenant of the call.

    What the message takes along is sent later, by a task that may run in public, and so it gets the
    tenant as well. What names a tenant already keeps it. Raises NoTenant.
    """
    sender = (options.get("headers") or {}).get(HEADER) or connection.schema_name

    def address(name: str, options: dict) -> dict:
        headers = {HEADER: sender} | (options.get("headers") or {})
        if headers[HEADER] == get_public_schema_name() and not runs_in_public(app, name):
            raise NoTenant(
                f"{name} was sent in public: enter a tenant, or declare it with public=True."
            )
        return with_signatures(options, TAKEN_ALONG, of_signature) | {"headers": headers}

    def of_signature(signature: dict) -> dict:
        kind, options = signature.get("subtask_type"), signature["options"]
        if kind not in PARTS:
            return {**signature, "options": address(signature["task"], options)}
        return {
            **signature,
            "options": with_signatures(options, TAKEN_ALONG, of_signature),
            "kwargs": with_signatures(signature["kwargs"], PARTS[kind], of_signature),
        }

    return address(name, options)


def with_signatures(values: dict, keys, change) -> dict:
    """A copy in which the signatures under the keys, each one or a list of them, are changed."""

    def changed(value):
        return change(value) if isinstance(value, dict) else [changed(each) for each in value]

    return {**values} | {key: changed(values[key]) for key in keys if values.get(key)}


def runs_in_public(app: Celery, name: str) -> bool:
    """Whether a task may be sent in public. Celery's own may, and then run there; of one that this
    process doesn't know the worker decides."""
    task = app._tasks.get(name)  # `app.tasks` would import them all
    return task is None or name.startswith("celery.") or getattr(task, "public", False)
