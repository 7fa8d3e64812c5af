"""The view that sends uploads: a tenant's to members, a shared row's to those who may see it."""

import mimetypes
from pathlib import Path
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.core.files.storage import default_storage
from django.core.files.utils import validate_file_name
from django.db import connection
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from django_tenants.utils import get_public_schema_name

from tenancy.isolation.shared_files import may_see, rows_of
from tenancy.isolation.storage import PREFIX, SharedStorage, TenantStorage, in_public

__all__ = ["TenantStorage", "media"]  # projects' settings name the storage here

# Browsers run no script in these, so they may show them as pages of the tenant's host. All other
# types, such as HTML and SVG, are sent as downloads, which <img> and <video> show as well.
INLINE_TYPES = frozenset(
    "image/avif image/gif image/jpeg image/png image/webp text/plain video/mp4 video/webm".split()
)


@require_safe
@cache_control(private=True, no_cache=True)  # browsers ask again: a membership may have ended
def media(request, path: str):
    """Send the file `path` of the current tenant's storage, or of a shared row, or answer 404.

    MembershipMiddleware has already refused people who aren't members. With SENDFILE_HEADER the web
    server sends the file. An object storage sends it by a link that is good for a minute.
    """
    is_shared = path.startswith(PREFIX)
    storage = SharedStorage() if is_shared else default_storage
    name = path.removeprefix(PREFIX)
    is_open = is_visible(request, name, is_shared)
    return (is_open and file_of(storage, name, request)) or no_such_file(request)


def file_of(storage, name: str, request) -> HttpResponse | FileResponse | None:
    """Return the answer that sends a storage's file, or None if there is no such file."""
    try:
        name = validate_file_name(name, allow_relative_path=True)
        if hasattr(storage, "link"):
            return redirect(storage, name) if storage.exists(name) else None
        folder = Path(storage.path("")).resolve()
        file = Path(storage.path(name)).resolve(strict=True)
    except NotImplementedError:
        is_shared = isinstance(storage, SharedStorage)
        return HttpResponseRedirect((in_public(url_of) if is_shared else url_of)(name))
    except (OSError, ValueError, SuspiciousOperation):  # ValueError: NUL
        return None
    if not file.is_relative_to(folder) or not file.is_file():
        return None
    modified = int(file.stat().st_mtime)
    return get_conditional_response(request, last_modified=modified) or send(file, folder, modified)


@login_required
def no_such_file(request):
    """Ask a visitor to sign in, whether or not the file is there."""
    raise Http404("There is no such file.")


def is_visible(request, name: str, is_shared: bool) -> bool:
    """Return whether the person may see the file. In the public folder, its row decides."""
    rows = []
    if "\0" not in name and (is_shared or connection.schema_name == get_public_schema_name()):
        rows = [*rows_of(name)]
    if rows or is_shared:
        return any(may_see(request.user, request.tenant, row) for row in rows)
    return request.user.is_authenticated


def send(file: Path, folder: Path, modified: int) -> HttpResponse | FileResponse:
    if settings.SENDFILE_HEADER == "X-Accel-Redirect":
        inside = f"/protected-media/{folder.name}/{file.relative_to(folder)}"
        response = HttpResponse(headers={"X-Accel-Redirect": quote(inside)})
    elif settings.SENDFILE_HEADER:
        response = HttpResponse(headers={settings.SENDFILE_HEADER: quote(str(file))})
    else:
        response = FileResponse(file.open("rb"))
    response["Content-Type"], response["Content-Disposition"] = headers_of(file.name)
    response["X-Content-Type-Options"] = "nosniff"
    response["Last-Modified"] = http_date(modified)
    return response


def redirect(storage, name: str) -> HttpResponse:
    """Send the browser on to the object. The link is for this browser, and soon void."""
    response = HttpResponseRedirect(storage.link(name, *headers_of(name.rsplit("/", 1)[-1])))
    response["Cache-Control"] = "no-store"
    return response


def headers_of(name: str) -> tuple[str, str]:
    """Return Content-Type and Content-Disposition of a file."""
    kind, encoding = mimetypes.guess_type(name, strict=False)
    if kind is None or encoding:
        kind = "application/octet-stream"
    return kind, content_disposition_header(kind not in INLINE_TYPES, name)


def url_of(name: str) -> str:
    """Return an object storage's URL. Raises ImproperlyConfigured if the storage mixes tenants."""
    url = default_storage.url(name)
    if f"/{connection.schema_name}/" not in urlsplit(url).path:
        raise ImproperlyConfigured(
            "The default storage must keep each tenant's files under the name of its schema."
        )
    return url
