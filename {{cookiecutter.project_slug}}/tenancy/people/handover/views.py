"""How a person who signs in on the main website gets into a workspace, at a host of its own.

`begin` (at the workspace) keeps a random state in a cookie and sends the browser to `issue` (at the
main website). It signs the person in, if need be, and sends them back with a one-time code to
`finish` (at the workspace), which opens the session. A code is bound to the person, the workspace,
its host, the browser by the state, and the session of the main website.
"""

import re
import secrets
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.core import signing as django_signing
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_tenants.utils import get_public_schema_name

from tenancy import hosts
from tenancy.concrete import Tenant
from tenancy.exceptions import RateLimited
from tenancy.history import record
from tenancy.isolation import signing
from tenancy.isolation.membership import membership_of
from tenancy.limits import limit
from tenancy.masking import hide
from tenancy.models import HandOver
from tenancy.people.accept_next import accept_next, forget_next
from tenancy.people.backend import UserBackend
from tenancy.people.confirmation import (
    forget_confirmation,
    is_confirmed,
    keep_confirmation,
    last_confirmation,
)
from tenancy.people.handover import codes
from tenancy.people.mfa.required import is_missing_for, to_set_up
from tenancy.requests import routes, support
from tenancy.requests.middleware import answer_without
from tenancy.support import ENTER, be_there, describe, grant_for, leave

PUBLIC = get_public_schema_name()
BACKEND = f"{UserBackend.__module__}.{UserBackend.__name__}"
COOKIE = "handover-"
COOKIE_AGE = 600  # seconds; how long a person may take to sign in
MAX_COOKIES = 5  # tries that were begun and not finished, in one browser
STATE = re.compile(r"[0-9a-f]{64}")
LET_IN = "handed_over"  # in the main website's session: the domains that may know the person
MAX_MINUTES = 10_000
FRESH_OF_SUPPORT = 10  # minutes


@login_not_required
@never_cache
@require_safe
def begin(request):
    """Send a visitor of a workspace to the main website, which sends them back signed in.

    With `fresh` they must have confirmed within so many minutes that it is them.
    """
    goal = safe_path(request.GET.get("next", ""))
    fresh = minutes_in(request)
    if is_member(request) and (fresh is None or is_confirmed(request, fresh)):
        return HttpResponseRedirect(goal)
    if request.get_host().lower().startswith("www."):  # codes go to stored domains, without it
        return HttpResponseRedirect(hosts.own_url(request, request.get_full_path()))
    return to_main_website(request, goal, {"fresh": fresh} if fresh else {})


@login_not_required
@never_cache
@require_safe
def begin_as_support(request):
    """Do the same for an operator, who has confirmed just now that it is them."""
    home = reverse("home")
    if is_member(request):
        return HttpResponseRedirect(home)
    response = to_main_website(request, home, {"fresh": FRESH_OF_SUPPORT, "support": "1"})
    set_cookie(request, response, support.COOKIE, "1", settings.SESSION_COOKIE_AGE)
    return response


def to_main_website(request, goal: str, query: dict) -> HttpResponseRedirect:
    hide(request, state := secrets.token_urlsafe(32))
    # Only its digest leaves this host, and the browser keeps the state itself.
    host = hosts.normalise_host(request.get_host())
    query = {"host": host, "state": codes.digest(state)} | query
    url = hosts.main_website_url(f"/hand-over/?{urlencode(query)}")
    response = HttpResponseRedirect(url)
    for name in [name for name in request.COOKIES if COOKIE in name][MAX_COOKIES - 1 :]:
        response.delete_cookie(name)
    name = cookie_name(request, query["state"])
    set_cookie(request, response, name, signing.dumps([state, goal]), COOKIE_AGE)
    return response


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def issue(request):
    """Send a person from the main website to a workspace of theirs, with a one-time code."""
    host, state = request.GET.get("host", ""), request.GET.get("state", "")
    tenant = routes.find(host) if hosts.normalise_host(host) == host else None
    if tenant is None or tenant.schema_name == PUBLIC or not STATE.fullmatch(state):
        raise Http404("There is no such workspace.")
    if tenant.status != Tenant.Status.ACTIVE:
        return answer_without(request, tenant)
    as_support = "support" in request.GET and host == hosts.host_of(tenant.slug)
    if tenant.moved_to and not as_support:  # renamed meanwhile: begin anew there
        return HttpResponseRedirect(hosts.site_url(tenant.moved_to, "/sign-in/"))
    fresh = FRESH_OF_SUPPORT if as_support else minutes_in(request)
    query = {"host": host, "state": state} | ({"fresh": fresh} if fresh else {})
    query |= {"support": "1"} if as_support else {}
    here = f"{reverse('hand-over')}?{urlencode(query | {'after': 'form'})}"
    if not request.user.is_authenticated:
        return accept_next(request, here)
    context = {"tenant": tenant, "host": host, "here": here}
    membership, grant = membership_of(request.user, tenant), None
    if membership is None:
        grant = grant_for(tenant, request.user) if as_support else None
        if grant is None:
            # Without the name, which any link would tell any workspace.
            refuse(tenant, "no member")
            return render(request, "tenancy/handover/no_access.html", context, status=403)
    elif is_missing_for(request, membership):
        refuse(tenant, "second factor", request.user)
        return to_set_up(request)
    if fresh and not is_confirmed(request, fresh):
        return accept_next(request, here, page_to_confirm(request.user))
    if not hosts.is_ours(host) and not may_know(request, tenant, host):
        # The customer's domain learns who this is, so the person must want it.
        return render(request, "tenancy/handover/confirm.html", context)
    limit("hand-over", str(request.user.pk), "30/1m")
    session_key, confirmation = request.session.session_key, last_confirmation(request)
    code = codes.issue(request.user, tenant, host, state, session_key, confirmation, grant)
    hide(request, code)
    query = urlencode({"code": code, "state": state})
    url = hosts.site_url(host, f"/sign-in/finish/?{query}")
    if request.method == "POST" or "after" in request.GET:
        # Chrome applies form-action of a Content-Security-Policy to the redirects after a form.
        response = render(request, "tenancy/handover/continue.html", context | {"url": url})
    else:
        response = HttpResponseRedirect(url)
    response["Referrer-Policy"] = "no-referrer"
    forget_next(request, response)
    return response


@login_not_required
@never_cache
@require_safe
def finish(request):
    """Open the session in the workspace, for the browser that began."""
    state, goal = state_of(request)
    hide(request, state)
    handover = user = None
    code = request.GET.get("code", "")
    if state:
        host = hosts.normalise_host(request.get_host())
        handover = codes.redeem(code, request.tenant, host, codes.digest(state))
    if handover:
        user = UserBackend().get_user(handover.user_id)  # None for a deactivated person
    grant = None
    if user and handover.grant_id and membership_of(user, request.tenant) is None:
        grant = grant_for(request.tenant, user)
        if grant and grant.pk == handover.grant_id:
            be_there(user, request.tenant, grant)
            request.session.flush()  # nothing of an earlier session comes along
    if user and membership_of(user, request.tenant):
        was_signed_in = is_session_of(request, user)  # and comes with a fresh confirmation
        auth.login(request, user, backend=BACKEND)
        if not settings.SESSION_EXPIRE_AT_BROWSER_CLOSE:
            # However often it is saved: its row, by which it ends elsewhere, is kept no longer.
            request.session.set_expiry(timezone.now() + codes.MAX_AGE)
        if handover.confirmed:
            keep_confirmation(request, handover.method, handover.confirmed.timestamp())
        else:
            forget_confirmation(request)  # of this browser's earlier session
        key = {"workspace_session": request.session.session_key}
        if HandOver.objects.filter(pk=handover.pk).update(**key):
            name = user.get_username()
            response = HttpResponseRedirect(goal)
            response.delete_cookie(cookie_name(request, codes.digest(state)))
            if grant:
                request.session[support.KEY] = grant.pk
                record(ENTER, request.tenant, name, **describe(grant))
            elif not was_signed_in:
                record("sign in", request.tenant, name, username=name)
            return response
        auth.logout(request)  # the session at the main website ended in this moment
    elif is_member(request):  # the back button, or a reload
        return redirect("home")
    person = user or codes.person_of(code, request.tenant)
    refuse(request.tenant, "no member" if user else "code", person)
    return render(request, "tenancy/handover/failed.html", status=HTTPStatus.BAD_REQUEST)


def refuse(tenant: Tenant, reason: str, user=None) -> None:
    """Add a refused sign-in to the workspace's history. `sentences.py` has the reasons in words.

    Anybody can make one, so only a few an hour are written, for each person or for nobody.
    """
    with suppress(RateLimited):
        limit("hand-over-refused", f"{tenant.pk} {user.pk if user else ''}", "10/1h")
        name = user.get_username() if user else ""
        record("refuse sign-in", tenant, name or "sign-in", username=name, after=reason)


@login_not_required
@never_cache
@require_POST
def leave_as_support(request):
    """End an operator's session in the workspace, and nothing else of theirs."""
    if support.KEY in request.session:
        leave(request.tenant, request.user, request.session.session_key, "left")
        request.session.flush()
    request.user = AnonymousUser()
    context = {"url": hosts.main_website_url("/admin/")}
    return render(request, "tenancy/support/over.html", context)


def is_member(request) -> bool:
    return membership_of(request.user, request.tenant) is not None


def is_session_of(request, user) -> bool:
    """Return whether the request has a session of the person's that is still good."""
    session = request.session
    is_theirs = session.get(auth.SESSION_KEY) == str(user.pk)
    return is_theirs and session.get(auth.HASH_SESSION_KEY) == user.get_session_auth_hash()


def page_to_confirm(user) -> str:
    """Return the path of the page on which django-allauth asks. Raises PermissionDenied."""
    if methods := get_adapter().get_reauthentication_methods(user):
        return methods[0]["url"]
    raise PermissionDenied


def minutes_in(request) -> int | None:
    """Return within how many minutes the person must have confirmed; None if that isn't asked."""
    if (text := request.GET.get("fresh")) is None:
        return None
    minutes = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 1
    return min(max(minutes, 1), MAX_MINUTES)


def may_know(request, tenant: Tenant, host: str) -> bool:
    """Return whether the person has let this domain in, in this session or just now.

    They mean the workspace that has it: a domain can be given up, and be another's then.
    """
    let_in, wanted = request.session.get(LET_IN, []), f"{host} {tenant.pk}"
    if request.method == "POST" and wanted not in let_in:
        let_in = request.session[LET_IN] = [*let_in, wanted]
    return wanted in let_in


def set_cookie(request, response, name: str, value: str, max_age: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",  # not Strict, which isn't sent when the main website redirects
    )


def cookie_name(request, state: str) -> str:
    """Return the name of the cookie for one try, so that two tabs don't disturb each other.

    With TLS its prefix makes browsers refuse it from other hosts.
    """
    return f"{'__Host-' if request.is_secure() else ''}{COOKIE}{state[:12]}"


def state_of(request) -> tuple[str, str]:
    """Return the state that the browser keeps, and where the person was going."""
    name = cookie_name(request, request.GET.get("state", ""))
    try:
        return signing.loads(request.COOKIES.get(name, ""), max_age=COOKIE_AGE)
    except django_signing.BadSignature:
        return "", "/"


def safe_path(path: str) -> str:
    """Return the path if it is one of this host, otherwise the home page's."""
    return path if url_has_allowed_host_and_scheme(path, allowed_hosts=None) else reverse("home")
