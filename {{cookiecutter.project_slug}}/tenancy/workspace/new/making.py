"""Making a workspace for a person who asks for it, within limits."""

from django.conf import settings
from django.utils.translation import gettext as _

from tenancy import lifecycle
from tenancy.concrete import Tenant
from tenancy.exceptions import LifecycleError
from tenancy.limits import give_back, limit
from tenancy.locks import advisory_lock
from tenancy.models import SIGN_UP
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
    uses = [("workspace", str(user.pk), "5/1d"), ("workspace-all", "", "1000/1d")]
    if address := client_address(request):
        uses.append(("workspace-address", address, "20/1d"))
    for use in uses:
        limit(*use)
    try:
        # A second click waits for the first, and gets what that has made.
        with advisory_lock(f"new workspace of {user.pk}"):
            if same := find_same(user, name, slug):
                give_back(*(use[:2] for use in uses))
                return same
            check_number(user)
            return lifecycle.request_tenant(name, slug, None, user.username, origin=SIGN_UP)
    except LifecycleError:
        give_back(*(use[:2] for use in uses))
        raise


def find_same(user, name: str, slug: str) -> Tenant | None:
    """Return the workspace that the person has made, or began to make, with these arguments."""
    states = (Tenant.Status.PROVISIONING, Tenant.Status.ACTIVE)
    same = {"name": name, "slug": slug, "owner": user, "origin": SIGN_UP}
    return Tenant.all_objects.filter(**same, status__in=states).first()


def check_number(user) -> None:
    """Raises TooManyWorkspaces."""
    most = getattr(settings, "MAX_WORKSPACES_OWNED", MAX_OWNED)
    deleted = (Tenant.Status.DELETED, Tenant.Status.PURGING)
    owned = Tenant.all_objects.filter(owner=user).exclude(status__in=deleted)
    if most is not None and owned.exclude(schema_name="public").count() >= most:
        raise TooManyWorkspaces(
            _("You own as many workspaces as a person can own: %(most)d.") % {"most": most}
        )
