from django.conf import settings
from django.shortcuts import render

from server.tenants.models import Domain, Tenant
from tenancy import hosts


def home(request):
    """The home page of the main website, with the workspaces of a person who is signed in."""
    workspaces = []
    if request.user.is_authenticated:
        domains = Domain.objects.filter(
            is_primary=True, tenant__user_set=request.user, tenant__status=Tenant.Status.ACTIVE
        ).exclude(tenant=request.tenant)
        workspaces = [
            (domain.tenant.name, hosts.site_url(domain.domain))
            for domain in domains.select_related("tenant")
        ]
    return render(request, "website/home.html", {"workspaces": workspaces, "debug": settings.DEBUG})
