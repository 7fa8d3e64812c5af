"""Uploads: each tenant's in a folder of its own, sent to its members and nobody else."""

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

# What a browser may show as a page of the tenant's host, for no script runs in it. All else, HTML
# and SVG first of all, is offered for download; <img> and <video> show a download too.
INLINE_TYPES = frozenset(
    "image/avif image/gif image/jpeg image/png image/webp text/plain video/mp4 video/webm".split()
)


class TenantStorage(FileSystemStorage):
    """Keeps files in <location>/<schema of the current tenant>/; MEDIA_ROOT is the location.

    django-tenants' own storage forgets the tenant where a location is given, and writes the schema
    into the addresses.
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
@cache_control(private=True, no_cache=True)  # asked again each time, by who may be a member no more
def media(request, path: str):
    """Send the file that the current tenant's storage has under the name `path`, or answer 404.

    MembershipMiddleware has answered who is no member. The web server does the sending if
    SENDFILE_HEADER says how, and a storage that isn't a folder does by a link of its own.
    """
    try:
        name = validate_file_name(path, allow_relative_path=True)
        folder = Path(default_storage.path("")).resolve()
        file = Path(default_storage.path(name)).resolve(strict=True)
    except NotImplementedError:
        return HttpResponseRedirect(link(name))
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


def link(name: str) -> str:
    """An object storage's address of the file; raises ImproperlyConfigured if it mixes tenants."""
    url = default_storage.url(name)
    if f"/{connection.schema_name}/" not in urlsplit(url).path:
        raise ImproperlyConfigured(
            "The default storage must keep each tenant's files under the name of its schema."
        )
    return url
