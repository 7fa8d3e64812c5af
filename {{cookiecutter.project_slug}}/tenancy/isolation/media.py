"""Uploads: each tenant's are in a folder of its own, and are sent only to its members."""

import mimetypes
import os
from pathlib import Path
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.utils import validate_file_name
from django.db import connection
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header, http_date
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

# Browsers run no script in these, so they may show them as pages of the tenant's host. All other
# types, such as HTML and SVG, are sent as downloads, which <img> and <video> show as well.
INLINE_TYPES = frozenset(
    "image/avif image/gif image/jpeg image/png image/webp text/plain video/mp4 video/webm".split()
)


class TenantStorage(FileSystemStorage):
    """Keeps files in `<location>/<schema of the current tenant>/`; MEDIA_ROOT is the default.

    django-tenants' own storage ignores the tenant if a location is given, and writes the schema
    into URLs.
    """

    @property
    def base_location(self):
        folder = self._value_or_setting(self._location, settings.MEDIA_ROOT)
        return os.path.join(folder, connection.schema_name)  # noqa: PTH118

    @property
    def location(self):
        return os.path.abspath(self.base_location)  # noqa: PTH100


@require_safe
@login_required
@cache_control(private=True, no_cache=True)  # browsers ask again: a membership may have ended
def media(request, path: str):
    """Send the file `path` of the current tenant's storage, or answer 404.

    MembershipMiddleware has already refused people who aren't members. With SENDFILE_HEADER the web
    server sends the file. A storage that isn't a folder gives a URL to redirect to.
    """
    try:
        name = validate_file_name(path, allow_relative_path=True)
        folder = Path(default_storage.path("")).resolve()
        file = Path(default_storage.path(name)).resolve(strict=True)
    except NotImplementedError:
        return HttpResponseRedirect(url_of(name))
    except (OSError, ValueError, SuspiciousFileOperation):  # ValueError: NUL
        file = None
    if file is None or not file.is_relative_to(folder) or not file.is_file():
        raise Http404("There is no such file.")
    modified = int(file.stat().st_mtime)
    return get_conditional_response(request, last_modified=modified) or send(file, folder, modified)


def send(file: Path, folder: Path, modified: int) -> HttpResponse | FileResponse:
    if settings.SENDFILE_HEADER == "X-Accel-Redirect":
        inside = f"/protected-media/{connection.schema_name}/{file.relative_to(folder)}"
        response = HttpResponse(headers={"X-Accel-Redirect": quote(inside)})
    elif settings.SENDFILE_HEADER:
        response = HttpResponse(headers={settings.SENDFILE_HEADER: quote(str(file))})
    else:
        response = FileResponse(file.open("rb"))
    kind, encoding = mimetypes.guess_type(file.name, strict=False)
    if kind is None or encoding:
        kind = "application/octet-stream"
    response["Content-Type"] = kind
    response["Content-Disposition"] = content_disposition_header(
        kind not in INLINE_TYPES, file.name
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Last-Modified"] = http_date(modified)
    return response


def url_of(name: str) -> str:
    """Return an object storage's URL. Raises ImproperlyConfigured if the storage mixes tenants."""
    url = default_storage.url(name)
    if f"/{connection.schema_name}/" not in urlsplit(url).path:
        raise ImproperlyConfigured(
            "The default storage must keep each tenant's files under the name of its schema."
        )
    return url
