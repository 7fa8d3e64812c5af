"""How long browsers refuse to come to a host without TLS, and to the hosts below it.

SecurityMiddleware says it for DOMAIN, with all that is below it. A customer's domain may have other
sites below it, and may lead elsewhere tomorrow: for a day, and for this host alone. Nothing is said
before the host has answered over TLS, since a certificate that fails would lock its visitors out.
"""

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from tenancy import hosts
from tenancy.concrete import Domain

HEADER = "Strict-Transport-Security"
MAX_AGE = 24 * 60 * 60  # seconds


def fit(response: HttpResponse, request: HttpRequest) -> None:
    """Change the header, if the request came to a customer's domain over TLS."""
    tenant = getattr(request, "tenant", None)
    if tenant is None or not request.is_secure():
        return
    host = hosts.normalise_host(request.get_host())
    if hosts.is_ours(host):
        return
    if tenant.secure_since is None:
        del response.headers[HEADER]
        if response.status_code < 400:
            note(host)
    elif HEADER in response:
        response.headers[HEADER] = f"max-age={min(settings.SECURE_HSTS_SECONDS, MAX_AGE)}"


def note(host: str) -> None:
    """Write that the host answers over TLS."""
    try:
        with transaction.atomic():
            rows = Domain.objects.filter(domain=host, secure_since=None)
            rows.update(secure_since=timezone.now())
    except (DatabaseError, InterfaceError):  # such as one that takes no writes now
        return
