"""Whether a proxy should get a certificate for a host: what Caddy's on-demand TLS asks."""

from django.http import HttpResponse
from django.utils import timezone

from tenancy import hosts
from tenancy.concrete import Tenant
from tenancy.limits import limit, remember, remembers
from tenancy.models import Status
from tenancy.requests import routes
from tenancy.requests.middleware import MAX_HOST_LENGTH
from tenancy.states import end_of_grace

YEAR = 365 * 24 * 60 * 60  # seconds


def ask(request) -> HttpResponse:
    """Answer 200 if the host `?domain=…` leads to a workspace or the main website, also by a
    redirect, or to a page that says that the workspace is suspended or deleted.

    Otherwise the answer is 404, so that nobody can make the proxy use up its certificates. Raises
    RateLimited for a new host after 100 others in an hour.
    """
    text = request.GET.get("domain", "")
    host = hosts.normalise_host(text) if len(text) <= MAX_HOST_LENGTH else None
    tenant = routes.find(host) if host else None
    if tenant is None or not has_page(tenant):
        return HttpResponse(status=404)
    if not remembers("certificate-of", host):
        limit("certificate", "new", "100/1h")
        remember("certificate-of", host, YEAR)
    return HttpResponse()


def has_page(tenant: Tenant) -> bool:
    if tenant.status == Status.DELETED:
        return timezone.now() < end_of_grace(tenant)
    return tenant.status in (Status.ACTIVE, Status.SUSPENDED)
