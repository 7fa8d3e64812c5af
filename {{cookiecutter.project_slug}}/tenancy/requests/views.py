"""What browsers and search engines ask every site for."""

from django.http import HttpResponse, HttpResponseRedirect
from django.templatetags.static import static
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from django_tenants.utils import get_public_schema_name


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
