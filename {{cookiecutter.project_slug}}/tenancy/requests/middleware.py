"""Finds a request's tenant, and keeps out people who aren't its members."""

from functools import lru_cache, partial
from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponsePermanentRedirect,
    HttpResponseRedirect,
)
from django.shortcuts import render
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.log import log_response
from django_tenants.middleware.main import TenantMainMiddleware
from django_tenants.utils import get_public_schema_name

from tenancy import hosts
from tenancy.concrete import Tenant, User
from tenancy.isolation.membership import membership_of
from tenancy.requests import hsts, net, replica, routes, seen, support
from tenancy.requests.failures import AnswersFailures, in_browsers_language

PUBLIC = get_public_schema_name()
ACTIVE = Tenant.Status.ACTIVE
PAGES = {
    Tenant.Status.SUSPENDED: ("tenancy/suspended_host.html", HTTPStatus.SERVICE_UNAVAILABLE),
    Tenant.Status.DELETED: ("tenancy/deleted_host.html", HTTPStatus.GONE),
}
SITE = {"project_name": settings.PROJECT_NAME}  # for pages without a tenant
RETRY_AFTER = 3600  # seconds
MAX_HOST_LENGTH = len("www.") + 253 + len(".:65535")  # longer ones would only fill the cache


class TenantMiddleware(AnswersFailures, TenantMainMiddleware):
    """Puts the connection into the schema of the host's tenant.

    It is the only guard of hosts, so no middleware above it may ask for the host, redirect or
    render a link. ALLOWED_HOSTS can be `["*"]`; a host that it leaves out is unknown here.

    For an unknown host, and one whose tenant is suspended or deleted, it answers with a page that
    says so. An earlier host of a tenant redirects. For all these the connection stays in public.
    """

    def process_request(self, request):
        connection = connections[DEFAULT_DB_ALIAS]
        connection.leave_tenant()  # an earlier request may have been interrupted
        tenant = find_tenant(request, connection)
        if not (tenant and tenant.status == ACTIVE and support.is_answered(request, tenant)):
            with in_browsers_language(request):
                response = answer_without(request, tenant)
                response.headers["Content-Language"] = translation.get_language()
            patch_vary_headers(response, ["Accept-Language"])
            return response
        if tenant.schema_name == PUBLIC and request._get_raw_host()[:4].lower() == "www.":
            # Sessions and passkeys are of one host.
            url = hosts.main_website_url(request.get_full_path())
            return HttpResponsePermanentRedirect(url, preserve_request=True)
        request.tenant = tenant
        connection.set_tenant_unchecked(tenant, include_public=True)
        if tenant.schema_name == PUBLIC:
            request.urlconf = settings.PUBLIC_SCHEMA_URLCONF
        replica.begin(request)
        return None

    def process_response(self, request, response):
        hsts.fit(response, request)
        replica.finish(response)
        return response


def answer_without(request, tenant: Tenant | None) -> HttpResponse:
    """Answer a request that enters no tenant, and log why it doesn't."""
    if tenant is None:
        context = {"public_url": hosts.main_website_url()} | SITE
        response = render(request, "tenancy/unknown_host.html", context, status=404)
        log_refusal(reason_against(request), request, response)
        return response
    if tenant.status == ACTIVE:
        # Not permanent: a browser would follow it for good, even if the name is changed back.
        place = hosts.site_url(tenant.moved_to, request.get_full_path())
        return HttpResponseRedirect(place, preserve_request=True)
    template, status = PAGES[tenant.status]
    response = render(request, template, SITE, status=status)
    response["Cache-Control"] = "no-store"  # browsers may cache status 410
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = RETRY_AFTER
    log_refusal(f"{tenant.get_status_display().capitalize()} tenant", request, response)
    return response


def log_refusal(reason: str, request, response: HttpResponse) -> None:
    """Log the refusal in place of Django's line, which would call a suspended tenant an error."""
    message, level = "%s: %s", "warning"
    log_response(message, reason, request.path, response=response, request=request, level=level)


def reason_against(request) -> str:
    """Return why no tenant was found for the request's host."""
    host = allowed_host(request)
    if host is None:
        return "Disallowed host"
    return "Host of another process" if routes.find(host) else "Unknown host"


class MembershipMiddleware:
    """Answers a signed-in person who is no member of the tenant with a page that says so.

    Views marked with Django's `login_not_required` stay open, so that people can sign out. Those of
    Django REST framework are marked, too. Whom a view has identified by itself is checked after it.
    An operator who is there as support counts as a member.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return support.serve(request, partial(net.catch, get_response=self.get_response))

    def process_view(self, request, view, args, kwargs):
        is_open = not getattr(view, "login_required", True)
        if not is_open and is_signed_in(request):
            membership = membership_of(request.user, request.tenant)
            if membership is None:
                return render(request, "tenancy/not_a_member.html", status=403)
            is_of_public = request.tenant.schema_name == PUBLIC
            if not (is_of_public or membership.support) and net.is_from_session(request.user):
                seen.note(request)
        else:
            net.begin(request, view)
        return None


def is_signed_in(request) -> bool:
    return not net.is_certainly_anonymous(request) and isinstance(request.user, User)


def find_tenant(request, connection) -> Tenant | None:
    """Return the tenant whose site this process serves at the request's host."""
    host = allowed_host(request)
    tenant = routes.find(host, connection) if host else None
    if tenant is None:
        return None
    is_served = settings.SERVE_PUBLIC if tenant.schema_name == PUBLIC else settings.SERVE_TENANTS
    return tenant if is_served else None


def allowed_host(request) -> str | None:
    """Return the request's host, normalised; None for one that is malformed or not allowed."""
    text = request._get_raw_host()
    return host_of(text, *settings.ALLOWED_HOSTS) if len(text) <= MAX_HOST_LENGTH else None


@lru_cache(maxsize=routes.MAX_CACHED_HOSTS)
def host_of(text: str, *allowed_hosts: str) -> str | None:
    """Return the normalised host of a header; None if it is malformed or not allowed."""
    request = HttpRequest()
    request.META["HTTP_HOST"] = text
    try:
        return hosts.normalise_host(request.get_host())
    except DisallowedHost:
        return None
