"""What log records are about: tenant, host, request and person; and how they look as JSON."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

from django.db import connection
from django.http import HttpRequest
from django.utils.functional import LazyObject

from tenancy.masking import masked

# The id of the request, or of the task, for which this code runs. A task has its sender's.
request_id: ContextVar[str] = ContextVar("request_id", default="")
current_request: ContextVar[HttpRequest | None] = ContextVar("current_request", default=None)


class TenantFilter(logging.Filter):
    """Sets on each record what the formatters show.

    `schema` is the current schema's name, or `-` before Django is set up. `host` is what was asked
    for, if Django logs a request. `tenant` is both, for a line. `request_id` and `user`, an id, are
    empty if they are unknown.
    """

    def filter(self, record):
        try:
            record.schema = connection.schema_name
        except Exception:  # a process that fails to start must still be able to log
            record.schema = "-"
        request = getattr(record, "request", None)
        record.host = host_of(request)
        record.tenant = f"{record.schema} {record.host}".rstrip()
        record.request_id = request_id.get()
        record.user = user_of(current_request.get())
        return True


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON, with the texts and numbers that `extra` has added."""

    HIDDEN = {*vars(logging.makeLogRecord({})), "asctime", "message", "schema", "tenant"}

    def format(self, record):
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "tenant": getattr(record, "schema", "-"),
        }
        line |= {
            name: masked(value) if isinstance(value, str) else value
            for name, value in vars(record).items()
            if name not in self.HIDDEN and isinstance(value, (str, int, float)) and value != ""
        }
        if record.exc_info:
            # `tenancy.masking` has put a text there if it has masked something.
            line["exception"] = record.exc_text or self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line)


def host_of(request) -> str:
    """Return the host that was asked for, however malformed, in ASCII and in one line."""
    if not isinstance(request, HttpRequest):  # runserver's own lines have a socket
        return ""
    try:
        return request._get_raw_host()[:255].encode("unicode_escape").decode()
    except KeyError:  # a request without a server, as tests make them
        return ""


def user_of(request: HttpRequest | None) -> str:
    """Return the id of the person, if the request has loaded them: a log asks no database."""
    user = vars(request).get("user") if request else None
    if isinstance(user, LazyObject):
        user = user._wrapped
    key = getattr(user, "pk", None)
    return "" if key is None else str(key)
