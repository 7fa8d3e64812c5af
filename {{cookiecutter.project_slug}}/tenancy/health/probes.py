"""What machines ask a process: is it alive, is it ready, how is it, may a host have TLS.

Their paths begin with `/_`. They are answered before a tenant, a host or TLS matters. All but
`/_health/live` are for the internal listener: the port INTERNAL_PORT, on which gunicorn listens
besides, and to which no proxy leads.
"""

import logging
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from importlib import import_module
from pathlib import Path

from django.conf import settings
from django.core.cache import caches
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse

from tenancy.database import replica
from tenancy.database.replica.standby import standby
from tenancy.exceptions import one_line
from tenancy.requests import failures, tls

MIN_FREE = 100_000_000  # bytes on the disks of uploads and of temporary files

logger = logging.getLogger(__name__)


class ProbesMiddleware:
    """Answers the probes. It stands above all other middleware."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if (probe := PROBES.get(request.path_info)) is None:
            return self.get_response(request)
        response = answer(probe, request)
        response._has_been_logged = True  # Django's line would call a 503 an error of the site
        return response


def answer(probe: Callable, request: HttpRequest) -> HttpResponse:
    if probe is not live and not is_internal(request):
        return text("Not found.", HTTPStatus.NOT_FOUND)
    if request.method not in ("GET", "HEAD"):
        return text("Use GET.", HTTPStatus.METHOD_NOT_ALLOWED)
    if probe is live:
        return probe(request)
    connections[DEFAULT_DB_ALIAS].leave_tenant()  # an earlier request may have been interrupted
    try:
        return probe(request)
    except Exception as error:
        if (response := failures.answer_to(error, request)) is None:
            raise
        return response


def is_internal(request: HttpRequest) -> bool:
    """Return whether the request came to the internal listener, and from no proxy.

    A socket in the file system has no port: gunicorn then takes the one that the client has named,
    and knows no address of the client's.
    """
    meta, port = request.META, getattr(settings, "INTERNAL_PORT", None)
    if not settings.DEBUG and (port is None or meta.get("SERVER_PORT") != str(port)):
        return False
    return bool(meta.get("REMOTE_ADDR")) and "HTTP_X_FORWARDED_FOR" not in meta


def live(request) -> HttpResponse:
    """Answer that the process answers. It asks no other server."""
    return text("ok")


def ready(request) -> HttpResponse:
    """Answer 200 if the process can do its work, otherwise 503 with the reasons."""
    found = {name: reason_against(check) for name, check in READINESS.items()}
    if reasons := {name: reason for name, reason in found.items() if reason}:
        logger.warning("Not ready: %s", "; ".join(f"{n}: {r}" for n, r in reasons.items()))
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    report = {name: reason or "ok" for name, reason in found.items()}
    if replica.alias:  # it does without one that is away
        standby.refresh()
        report["replica"] = standby.state
    return JsonResponse(report, status=status, headers={"Cache-Control": "no-store"})


def metrics(request) -> HttpResponse:
    """Answer with the numbers of `tenancy.health.metrics`, for Prometheus."""
    try:
        module = import_module("tenancy.health.metrics")
    except ImportError as error:
        if error.name != "prometheus_client":
            raise
        reason = "The package prometheus-client is not installed: `uv sync --group metrics`."
        return text(reason, HTTPStatus.NOT_IMPLEMENTED)
    return module.answer()


PROBES = {
    "/_health/live": live,
    "/_health/ready": ready,
    "/_metrics": metrics,
    "/_tls/ask": tls.ask,
}
Check = Callable[[], str | None]
READINESS: dict[str, Check] = {}


def readiness(name: str) -> Callable[[Check], Check]:
    """Register a function for `/_health/ready`. It returns, or raises, a reason not to be ready."""

    def register(check: Check) -> Check:
        READINESS[name] = check
        return check

    return register


def reason_against(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:
        return one_line(error)


@readiness("database")
def database() -> None:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT 1")


@readiness("migrations")
def migrations() -> str | None:
    """The main website's. Tenants are migrated one by one while the site goes on."""
    applied = MigrationRecorder(connections[DEFAULT_DB_ALIAS]).applied_migrations()
    lacking = sorted(".".join(key) for key in last_migrations() - applied.keys())
    return f"not migrated: {', '.join(lacking)}" if lacking else None


@cache
def last_migrations() -> frozenset[tuple[str, str]]:
    """The last migration of each app, as the code has them."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


@readiness("cache")
def default_cache() -> None:
    caches["default"].get("ready")


@readiness("disk")
def disk() -> str | None:
    for folder in (settings.MEDIA_ROOT, tempfile.gettempdir()):
        if folder and Path(folder).exists() and shutil.disk_usage(folder).free < MIN_FREE:
            return f"less than {MIN_FREE // 10**6} MB are free in {folder}"
    return None


def text(message: str, status: HTTPStatus = HTTPStatus.OK) -> HttpResponse:
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(f"{message}\n", "text/plain", status, headers=headers)
