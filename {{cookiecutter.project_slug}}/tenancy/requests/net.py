"""The net behind the views: it refuses people and tokens that nothing refused before.

`AbstractUser.is_active` and `is_authenticated` are False for a person who is nobody in the tenant,
so libraries refuse them. This finds those that a library or a view has let in all the same. Where
the session identifies a member, and where the method is safe, there is no transaction.
"""

from contextlib import ExitStack
from http import HTTPStatus

from django.contrib.auth import get_user_model
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.db import DEFAULT_DB_ALIAS, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.utils.functional import LazyObject
from django.utils.log import log_response
from django.utils.translation import gettext
from django_tenants.utils import get_public_schema_name

from tenancy.isolation.membership import membership_of

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


def catch(request: HttpRequest, get_response) -> HttpResponse:
    """Answer the request, or refuse it after the view."""
    if request.method in SAFE_METHODS:
        return checked(request, get_response(request))
    # A commit that fails raises here, and Django makes it a 500.
    with ExitStack() as request.undo:
        return checked(request, get_response(request))


def begin(request: HttpRequest, view) -> None:
    """Begin a transaction if the view may write before anybody knows for whom.

    Django's `non_atomic_requests` keeps a view out of it, as from ATOMIC_REQUESTS. The main website
    does without: every person is somebody there.
    """
    if (
        request.method in SAFE_METHODS
        or request.tenant.schema_name == get_public_schema_name()
        or DEFAULT_DB_ALIAS in getattr(view, "_non_atomic_requests", ())
        or is_known(request)
    ):
        return
    request.undo.enter_context(transaction.atomic(using=DEFAULT_DB_ALIAS))
    request.is_undone = True


def checked(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return the view's response, or a refusal if the view has let in a stranger."""
    stranger = find_stranger(request)
    if stranger is None:
        return response
    outcome = "its changes stay"
    if getattr(request, "is_undone", False):
        transaction.set_rollback(True, using=DEFAULT_DB_ALIAS)
        outcome = "its changes were rolled back"
    if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return response  # the view has refused by itself
    message = gettext("You don't have access to %(tenant)s.") % {"tenant": request.tenant}
    refusal = HttpResponseForbidden(message, content_type="text/plain; charset=utf-8")
    # A stream ends unread. Closing the response here would end the request.
    refusal._resource_closers += response._resource_closers
    reason = f"The view let in {stranger}, and {outcome}"
    log_response("%s: %s", reason, request.path, response=refusal, request=request, level="error")
    return refusal


def find_stranger(request: HttpRequest) -> str | None:
    """Return what to call the person or the token that is nobody in the request's tenant, if any.

    Django REST framework and django-ninja put who they have identified on the request as `user` and
    `auth`, django-oauth-toolkit as `resource_owner`.
    """
    found = vars(request)
    user, auth = found.get("user"), found.get("auth")
    people = [user, found.get("resource_owner")]
    if auth:
        person = auth if is_person(auth) else getattr(auth, "user", None)
        people.append(person)
        is_public = request.tenant.schema_name == get_public_schema_name()
        if person is None and not is_public and not is_known(request):
            return f"{type(auth).__name__} without a person"
    for person in people:
        if person is None or is_from_session(person):
            continue
        if is_person(person):
            if membership_of(person, request.tenant) is None:
                return f"“{person}”, who is nobody here"
        elif getattr(person, "is_authenticated", False):
            return f"{type(person).__name__}, which is no user of the database"
    return None


def is_person(value) -> bool:
    return isinstance(value, get_user_model())


def is_known(request: HttpRequest) -> bool:
    """Return whether the request's user is somebody in its tenant."""
    if is_certainly_anonymous(request):
        return False
    return membership_of(request.user, request.tenant) is not None


def is_from_session(user) -> bool:
    """Return whether the user is the one that the session identifies, if any."""
    load = vars(user).get("_setupfunc") if issubclass(type(user), LazyObject) else None
    return getattr(load, "__module__", None) == AuthenticationMiddleware.__module__


def is_certainly_anonymous(request: HttpRequest) -> bool:
    """Return True if request.user is not evaluated yet and there is no session to load it from.

    This saves loading the session, and keeps `Vary: Cookie` off public pages. It may wrongly return
    False, which only costs time.
    """
    return is_from_session(request.user) and request.session.is_empty()
