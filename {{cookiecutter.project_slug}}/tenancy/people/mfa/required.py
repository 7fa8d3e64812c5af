"""MFA_REQUIRED: `staff` or `all` have no page but those to set a second factor up.

`staff` are the people who administer the main website and, on their way into a workspace, those
whose role there has `is_staff`. A person who has just signed up for a workspace of their own gets
in, and is asked when they next sign in.
"""

from django.apps import apps
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpResponseRedirect
from django.urls import reverse
from django_tenants.utils import get_public_schema_name

from tenancy.factors import APP, has_second_factor
from tenancy.isolation.membership import Membership
from tenancy.requests.net import SAFE_METHODS, is_certainly_anonymous

GOAL = "mfa_goal"  # in the session: where the person was going
SIGNED_UP = "signed_up"  # in the session in which the person signed up

# The names of URLs that answer: to set a second factor up, to show that it is still the same
# person, and to sign out.
OPEN = (
    "mfa_",
    "account_reauthenticate",
    "account_request_reauthentication_code",
    "account_confirm_reauthentication_code",
    "account_logout",
    "sign-out",
    "outbox",  # with the codes of development
)


class MFARequiredMiddleware:
    """Leads people on the main website to the page where they set a second factor up."""

    def __init__(self, get_response):
        if is_off() or not settings.SERVE_PUBLIC:
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        if request.tenant.schema_name != get_public_schema_name():
            return None  # the hand-over has asked
        if is_certainly_anonymous(request) or not request.user.is_authenticated:
            return None
        if request.resolver_match.view_name.startswith(OPEN):
            return None
        if is_missing(request.user, is_staff=request.user.is_staff):
            return to_set_up(request)
        request.session.pop(GOAL, None)
        return None


def is_off() -> bool:
    return getattr(settings, "MFA_REQUIRED", "off") == "off" or not apps.is_installed(APP)


def is_missing(user, *, is_staff: bool) -> bool:
    """Return whether the person must set a second factor up."""
    is_required = not is_off() and (is_staff or settings.MFA_REQUIRED == "all")
    return is_required and not has_second_factor(user)


def is_missing_for(request, membership: Membership) -> bool:
    """Return whether the person must set one up before they enter a workspace as a member."""
    is_staff = membership.rights.is_staff and not request.session.get(SIGNED_UP)
    return is_missing(request.user, is_staff=is_staff)


def to_set_up(request) -> HttpResponseRedirect:
    """Lead to the set-up, which has a link to where the person was going."""
    if request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate":  # not an image or a script
        is_page = request.method in SAFE_METHODS
        request.session[GOAL] = request.get_full_path() if is_page else reverse("home")
    return HttpResponseRedirect(reverse("mfa_index"))
