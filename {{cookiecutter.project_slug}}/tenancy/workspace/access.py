"""Who may open the pages of a workspace, and how a page says what it did."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from tenancy import roles
from tenancy.exceptions import LifecycleError, RateLimited
from tenancy.requests.failures import how_long


def people_with(may: Callable[[str | None], bool]):
    """Return a decorator for a view of members whose role may do it."""

    def decorator(view):
        @never_cache
        @login_required
        @wraps(view)
        def wrapper(request, *args, **kwargs):
            membership = request.user.membership
            if membership is None or not may(membership.role):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return wrapper

    return decorator


for_managers = people_with(roles.may_manage_members)
for_the_owner = people_with(lambda role: role == roles.OWNER)


def attempt(request, change: Callable[[], str], page: str) -> HttpResponseRedirect:
    """Say on the page of that URL name what was changed, or why it couldn't be."""
    try:
        messages.success(request, change())
    except LifecycleError as error:
        messages.error(request, str(error))
    except RateLimited as error:
        messages.error(request, limit_reached(error))
    return redirect(page)


def limit_reached(error: RateLimited) -> str:
    """Return a sentence for a form or a message."""
    return f"{_('This was done too often.')} {how_long(error.wait)}"
