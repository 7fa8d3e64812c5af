"""Adds the tenant and the requested host to log records."""

import logging

from django.db import connection
from django.http import HttpRequest


class TenantFilter(logging.Filter):
    """Sets `record.tenant` to the current schema's name, or to `-` before Django is set up.

    If Django logs a request, its host follows.
    """

    def filter(self, record):
        try:
            record.tenant = connection.schema_name
        except Exception:  # a process that fails to start must still be able to log
            record.tenant = "-"
        if host := host_of(getattr(record, "request", None)):
            record.tenant = f"{record.tenant} {host}"
        return True


def host_of(request) -> str:
    """Return the host that was asked for, however malformed, in ASCII and in one line."""
    if not isinstance(request, HttpRequest):  # runserver's own lines have a socket
        return ""
    try:
        return request._get_raw_host()[:255].encode("unicode_escape").decode()
    except KeyError:  # a request without a server, as tests make them
        return ""
