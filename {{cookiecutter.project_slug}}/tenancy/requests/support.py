"""Requests of an operator who is in a workspace as support.

Their session is nobody's until `serve` has found that the workspace's owner still allows it. A
cookie beside that of the session tells which requests are worth a look.
"""

import re
from collections.abc import Callable
from http import HTTPStatus

from django.conf import settings
from django.contrib.auth.middleware import get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import Resolver404, resolve, reverse
from django.utils.cache import add_never_cache_headers

from tenancy import hosts, support
from tenancy.concrete import Tenant, User
from tenancy.database.read_only import read_only
from tenancy.models import SupportGrant
from tenancy.preferences import preferences_of

KEY = "support"  # in the session: the grant
COOKIE = f"{settings.SESSION_COOKIE_NAME}_support"
BODY = re.compile(rb"<body[^>]*>", re.IGNORECASE)
WAYS_OUT = ("support-leave", "sign-out", "admin:logout")  # these delete the session


def is_answered(request: HttpRequest, tenant: Tenant) -> bool:
    """Return whether the request is answered at this host, and not redirected to another.

    Operators enter workspaces under DOMAIN alone, so those stay where others are redirected to a
    customer's domain.
    """
    if tenant.moved_to is None:
        return True
    is_ours = hosts.normalise_host(request._get_raw_host()) == hosts.host_of(tenant.slug)
    return is_ours and (COOKIE in request.COOKIES or request.path_info == reverse("support-enter"))


def serve(request: HttpRequest, get_response: Callable) -> HttpResponseBase:
    """Answer the request. An operator in it is somebody there, if the owner still allows it."""
    if COOKIE not in request.COOKIES:
        return get_response(request)
    user = get_user(request)  # whom `request.user` will find, too
    if user.pk is None or KEY not in request.session:
        return get_response(request)
    grant = support.grant_for(request.tenant, user)
    if grant is None or grant.pk != request.session[KEY]:
        response = over(request, user)
        return get_response(request) if request.path_info == reverse("support-enter") else response
    support.be_there(user, request.tenant, grant)
    request._acached_user = user
    request.is_read_only = not (grant.may_write or is_way_out(request.path_info))
    if request.is_read_only:
        with read_only():
            response = get_response(request)
        guard_stream(response)
    else:
        response = get_response(request)
    if KEY not in request.session:  # they have left
        response.delete_cookie(COOKIE)
    elif is_page(response):
        add_banner(response, request, grant)
    return response


def is_way_out(path: str) -> bool:
    try:
        return resolve(path).view_name in WAYS_OUT
    except Resolver404:
        return False


def over(request: HttpRequest, user: User) -> HttpResponse:
    """Answer that the owner doesn't allow it any more, or that the person is no operator."""
    key = request.session.session_key
    support.leave(request.tenant, user, key, "it isn't allowed any more")
    request.session.flush()
    request.user = AnonymousUser()
    url = hosts.main_website_url("/admin/")
    page = render(request, "tenancy/support/over.html", {"url": url}, status=HTTPStatus.FORBIDDEN)
    page.delete_cookie(COOKIE)
    return page


def guard_stream(response: HttpResponseBase) -> None:
    """Let the parts of an answer that are made later only read, too."""
    if not response.streaming:
        return
    parts = response.streaming_content

    def later():
        with read_only():
            yield from parts

    async def later_async():
        with read_only():
            async for part in parts:
                yield part

    response.streaming_content = later_async() if response.is_async else later()


def is_page(response: HttpResponseBase) -> bool:
    is_html = response.get("Content-Type", "").startswith("text/html")
    return is_html and not response.streaming and "Content-Encoding" not in response


def add_banner(response: HttpResponse, request: HttpRequest, grant: SupportGrant) -> None:
    """Say on the page, whatever made it, that the person is here as support."""
    with preferences_of(request.user.email):
        banner = render_to_string("tenancy/support/banner.html", {"grant": grant}, request)
    content = BODY.sub(lambda match: match[0] + banner.encode(), response.content, count=1)
    response.content = content
    add_never_cache_headers(response)
