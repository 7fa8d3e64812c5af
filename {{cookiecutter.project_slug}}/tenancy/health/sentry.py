"""Errors for Sentry, or a server that speaks its protocol, such as GlitchTip (SENTRY_DSN)."""

from django.db import connection

from tenancy.exceptions import MissingRequirement
from tenancy.isolation import logs
from tenancy.masking import masked

try:
    import sentry_sdk
except ImportError:
    message = "SENTRY_DSN needs the package sentry-sdk: `uv sync --group sentry` installs it."
    raise MissingRequirement(message) from None

KEPT_HEADERS = {"accept", "content-type", "host", "user-agent"}


def start(dsn: str, **options) -> None:
    """Report errors of this process from now on, with the tenant, the request and its person.

    What a visitor has sent stays here: bodies, cookies, queries, and the values of variables.
    `options` are those of `sentry_sdk.init`, and win.
    """
    sentry_sdk.init(
        **{
            "dsn": dsn,
            "before_send": add_context,
            "include_local_variables": False,
            "max_request_body_size": "never",
            "send_default_pii": False,
            **options,
        }
    )


def add_context(event: dict, hint: dict) -> dict:
    """Add whom the event is about, and remove what may have secrets."""
    tags = {"tenant": connection.schema_name, "request_id": logs.request_id.get()}
    event["tags"] = {**event.get("tags", {}), **{k: v for k, v in tags.items() if v}}
    if user := logs.user_of(logs.current_request.get()):
        event["user"] = {"id": user}
    request = event.get("request", {})
    for name in ("cookies", "data", "env", "query_string"):
        request.pop(name, None)
    headers = request.get("headers", {})
    if headers:
        request["headers"] = {k: v for k, v in headers.items() if k.lower() in KEPT_HEADERS}
    return masked_in(event)


def masked_in(value):
    """Return the event, or a part of it, without one-time secrets."""
    if isinstance(value, dict):
        return {key: masked_in(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked_in(part) for part in value]
    return masked(value, logs.current_request.get()) if isinstance(value, str) else value
