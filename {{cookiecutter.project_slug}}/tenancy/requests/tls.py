"""Whether a proxy should get a certificate for a host: what Caddy's on-demand TLS asks."""

from django.http import HttpResponse

from tenancy.models import Status
from tenancy.requests import routes
from tenancy.requests.middleware import allowed


def ask(request) -> HttpResponse:
    """Answer 200 if the host `?domain=…` leads to an active workspace or the main website.

    Otherwise the answer is 404, so that nobody can make the proxy use up its certificates.
    """
    host = allowed(request.GET.get("domain", ""))
    tenant = routes.find(host) if host else None
    is_active = tenant is not None and tenant.status == Status.ACTIVE
    return HttpResponse(status=200 if is_active else 404)
