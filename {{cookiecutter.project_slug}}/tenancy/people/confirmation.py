"""For a page that changes something grave: the person has shown just now that it is them.

The main website asks for it, by a password, a code or a second factor, as a sign-in does. Its
session keeps when and how, and a workspace's session gets that from the hand-over.
"""

import time
from functools import wraps
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from allauth.core.exceptions import ReauthenticationRequired
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django_tenants.utils import get_public_schema_name

KEY = "confirmation"  # in the session
SAFE_METHODS = ("GET", "HEAD")


class Confirmation(NamedTuple):
    """When the person confirmed (seconds since 1970), and how, such as `password` or `mfa`."""

    at: float
    method: str


def last_confirmation(request) -> Confirmation | None:
    """Return when and how the person last confirmed that it is them, or None."""
    kept = request.session.get(KEY)
    return Confirmation(*kept) if kept and request.user.is_authenticated else None


def is_confirmed(request, minutes: float) -> bool:
    """Return whether the person has confirmed within the last minutes that it is them."""
    last = last_confirmation(request)
    return last is not None and time.time() - last.at < minutes * 60


def keep_confirmation(request, method: str, at: float | None = None) -> None:
    """Note in the session that the person has confirmed now, or at that time."""
    request.session[KEY] = Confirmation(time.time() if at is None else at, method)


def forget_confirmation(request) -> None:
    request.session.pop(KEY, None)


def confirmed(minutes: int = 10):
    """Return a decorator for a view of people who have confirmed within the last minutes.

    Others are sent to the main website, which asks them, and come back to the page. So are visitors
    who aren't signed in. A form that was sent too late changes nothing: a page says so, and leads
    back to the form. Raises ValueError if `minutes` is less than 1.
    """
    if minutes < 1:
        raise ValueError("To confirm takes a person a minute or more.")

    def decorator(view):
        @wraps(view)
        def wrapper(request, *args, **kwargs):
            if is_confirmed(request, minutes):
                return view(request, *args, **kwargs)
            return ask(request, minutes)

        return wrapper

    return decorator


def ask(request, minutes: int) -> HttpResponse:
    """Send the person to confirm. At the main website raises ReauthenticationRequired."""
    if request.tenant.schema_name == get_public_schema_name():
        raise ReauthenticationRequired  # django-allauth asks, and keeps a form that was sent
    is_form = request.method not in SAFE_METHODS
    goal = page_of_form(request) if is_form else request.get_full_path()
    url = f"{reverse('sign-in')}?{urlencode({'next': goal, 'fresh': minutes})}"
    if is_form:
        return render(request, "tenancy/handover/confirm_first.html", {"url": url}, status=403)
    return HttpResponseRedirect(url)


def page_of_form(request) -> str:
    """Return the path of the page that sent the form, as far as the browser tells."""
    referer = urlsplit(request.headers.get("Referer", ""))
    if referer.netloc != request.get_host():
        return request.get_full_path()
    return referer._replace(scheme="", netloc="", fragment="").geturl()
