"""The logo and the colour of a workspace, for every visitor.

Their addresses in pages change with them (see `base.html`), so browsers may keep them.
"""

from django.contrib.auth.decorators import login_not_required
from django.core.files.storage import default_storage
from django.http import Http404, HttpResponse
from django.utils.cache import patch_cache_control
from django.views.decorators.cache import cache_control
from django.views.decorators.http import etag, require_safe

from tenancy.isolation.media import file_of
from tenancy.workspace.settings.colours import stylesheet

KEPT = 24 * 60 * 60  # seconds


@login_not_required
@require_safe
def logo(request):
    """Send the tenant's logo. An object storage's address is good for a while only."""
    name = request.tenant.logo_file
    response = file_of(default_storage, name, request) if name else None
    if response is None:
        raise Http404
    if response.status_code == 302:
        patch_cache_control(response, private=True, no_cache=True)
    else:
        patch_cache_control(response, public=True, max_age=KEPT)
    return response


def tag(request) -> str:
    return f'"{request.tenant.accent}"'


@login_not_required
@require_safe
@cache_control(public=True, max_age=KEPT)
@etag(tag)
def style(request):
    """Send the stylesheet with the tenant's colour. A page has no style of its own (CSP)."""
    accent = request.tenant.accent
    return HttpResponse(stylesheet(accent) if accent else "", content_type="text/css")
