"""Making a workspace for a person who asks for it, within limits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from django.conf import settings
from django.utils.translation import gettext as _

from tenancy import lifecycle
from tenancy.concrete import Tenant
from tenancy.exceptions import LifecycleError, RateLimited
from tenancy.limits import give_back, limit
from tenancy.locks import advisory_lock
from tenancy.models import SIGN_UP, DataJob
from tenancy.requests.address import client_address

MAX_OWNED = 10


class TooManyWorkspaces(LifecycleError):
    """The person owns as many workspaces as one person may."""


def make(request, name: str, slug: str) -> Tenant:
    """Return the person's new workspace, which a worker may still have to make.

    Its organization is its own. A second call with the same arguments returns the same workspace.
    Raises TooManyWorkspaces, ProvisioningError or RateLimited.
    """
    user = request.user
    with counted(request) as give_back_all:
        if same := find_same(user, name, slug):
            give_back_all()
            return same
        check_number(user)
        return lifecycle.request_tenant(name, slug, None, user.username, origin=SIGN_UP)


@contextmanager
def counted(request) -> Iterator[Callable[[], None]]:
    """Count one more workspace that the person makes in the block, unless the block fails.

    Yield a function that takes the count back. A second click waits for the first. Raises
    RateLimited.
    """
    user = request.user
    uses = [("workspace", str(user.pk), "5/1d"), ("workspace-all", "", "1000/1d")]
    if address := client_address(request):
        uses.append(("workspace-address", address, "20/1d"))
    for use in uses:
        limit(*use)
    give_back_all = partial(give_back, *(use[:2] for use in uses))
    try:
        with one_at_a_time(user):
            yield give_back_all
    except (LifecycleError, RateLimited):
        give_back_all()
        raise


def one_at_a_time(user):
    """Let a second request that makes the person own one more workspace wait for the first."""
    return advisory_lock(f"new workspace of {user.pk}")


def find_same(user, name: str, slug: str) -> Tenant | None:
    """Return the workspace that the person has made, or began to make, with these arguments."""
    states = (Tenant.Status.PROVISIONING, Tenant.Status.ACTIVE)
    same = {"name": name, "slug": slug, "owner": user, "origin": SIGN_UP}
    return Tenant.all_objects.filter(**same, status__in=states).first()


def check_number(user) -> None:
    """Raise TooManyWorkspaces if the person owns, or is about to own, as many as one person may."""
    most = getattr(settings, "MAX_WORKSPACES_OWNED", MAX_OWNED)
    deleted = (Tenant.Status.DELETED, Tenant.Status.PURGING)
    owned = Tenant.all_objects.filter(owner=user).exclude(status__in=deleted)
    coming = DataJob.objects.filter(user=user, kind=DataJob.Kind.COPY, ended=None)
    number = owned.exclude(schema_name="public").count() + coming.count()
    if most is not None and number >= most:
        raise TooManyWorkspaces(
            _("You own as many workspaces as a person can own: %(most)d.") % {"most": most}
        )
