"""An id for each request, to find what the logs of all processes say about it."""

import re
import secrets

from django.conf import settings

from tenancy.isolation import logs

HEADER = "X-Request-ID"
ID = re.compile(r"[A-Za-z0-9-]{8,64}")


class RequestIdMiddleware:
    """Lets log lines, tasks and e-mails know which request they come from.

    The answer has the id in its header `X-Request-ID`. With TRUSTED_PROXIES it is the proxy's, if
    that sends one in the same header.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        given = proxys_id(request) or secrets.token_hex(8)
        logs.request_id.set(given)
        logs.current_request.set(request)
        response = self.get_response(request)
        response.headers[HEADER] = given
        return response


def proxys_id(request) -> str:
    given = request.META.get("HTTP_X_REQUEST_ID", "")
    is_trusted = getattr(settings, "TRUSTED_PROXIES", 0) and ID.fullmatch(given)
    return given if is_trusted else ""
