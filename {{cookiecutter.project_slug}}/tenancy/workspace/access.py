"""Who may open the pages of a workspace, and how a page says what it did."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from tenancy import hosts, roles
from tenancy.exceptions import IllegalTransition, LifecycleError, RateLimited
from tenancy.people.confirmation import SAFE_METHODS
from tenancy.requests.failures import how_long


def people_with(may: Callable[[str | None], bool], otherwise: str):
    """Return a decorator for a view of members whose role may do it; others read `otherwise`."""

    def decorator(view):
        @never_cache
        @login_required
        @wraps(view)
        def wrapper(request, *args, **kwargs):
            membership = request.user.membership
            if membership is None or not may(membership.role):
                raise PermissionDenied(otherwise)
            return view(request, *args, **kwargs)

        return wrapper

    return decorator


for_managers = people_with(
    roles.may_manage_members,
    gettext_lazy("This page is for the owner and the admins of the workspace."),
)
for_the_owner = people_with(
    lambda role: role == roles.OWNER, gettext_lazy("This page is for the owner of the workspace.")
)


def form_on(page: str):
    """Return a decorator for a view that answers a form on the page of that URL name.

    A sign-in or a confirmation on the way may lead a browser here by a link: it gets to the page.
    """

    def decorator(view):
        answer = require_POST(view)

        @wraps(view)
        def wrapper(request, *args, **kwargs):
            if request.method in SAFE_METHODS:
                return redirect(page)
            return answer(request, *args, **kwargs)

        return wrapper

    return decorator


def attempt(request, change: Callable[[], str], page: str) -> HttpResponseRedirect:
    """Say on the page of that URL name what was changed, or why it couldn't be."""
    with refusals_to(partial(messages.error, request)):
        messages.success(request, change())
    return redirect(page)


@contextmanager
def refusals_to(say: Callable[[str], None]) -> Iterator[None]:
    """Leave the block where a change in it isn't possible, and `say` the reason.

    End the block with `return`, and the code below it runs only after a refusal.
    """
    try:
        yield
    except LifecycleError as error:
        say(sentence(error))
    except RateLimited as error:
        say(f"{_('This was done too often.')} {how_long(error.wait)}")


def sentence(error: LifecycleError) -> str:
    """Return why a change isn't possible, for the people of a workspace."""
    if isinstance(error, IllegalTransition):
        return _("This can't be changed now, because the site's operator has closed the workspace.")
    return str(error)


def at_present_host(request, response: HttpResponse) -> HttpResponse:
    """Return the response, or a page that leads to the workspace, if this host doesn't any more.

    A redirect there would be blocked: browsers hold redirects after a form to `form-action`.
    """
    here = hosts.normalise_host(request.get_host())
    if request.tenant.domains.filter(domain=here, redirects=False).exists():
        return response
    host = request.tenant.get_primary_domain().domain
    context = {"host": host, "url": hosts.site_url(host, response.url)}
    return render(request, "tenancy/workspace/moved.html", context)
