"""What programs ask every site for."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.templatetags.static import static
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from django_tenants.utils import get_public_schema_name

from tenancy import hosts

LIFETIME = timedelta(days=180)  # of what security.txt says; RFC 9116 wants less than a year


@require_safe
@cache_control(max_age=24 * 60 * 60, public=True)
def favicon(request):
    """Redirect to the static file `icon.svg`, for pages and clients that don't name it."""
    return HttpResponseRedirect(static("icon.svg"))


@require_safe
@cache_control(max_age=60 * 60, public=True)
def robots(request):
    """Let search engines read the main website, and no tenant's site."""
    is_public = request.tenant.schema_name == get_public_schema_name()
    rule = "Disallow:" if is_public else "Disallow: /"
    return HttpResponse(f"User-agent: *\n{rule}\n", content_type="text/plain")


@login_not_required
@require_safe
@cache_control(max_age=60 * 60, public=True)
def security(request):
    """Say where to report a vulnerability: the template `tenancy/security.txt`."""
    context = {
        "expires": (timezone.now() + LIFETIME).strftime("%Y-%m-%dT00:00:00Z"),
        "canonical": hosts.main_website_url(request.path),
        "domain": settings.DOMAIN,
    }
    kind = "text/plain; charset=utf-8"
    return render(request, "tenancy/security.txt", context, content_type=kind)
