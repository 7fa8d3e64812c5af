"""The history of tenants and people: the lines of the log that no transition writes.

A workspace's owner and admins read it at `/workspace/history/`, and operators in the public admin.
"""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from tenancy.concrete import Tenant
from tenancy.models import FailedSignIn, TenantEvent

DAYS = 365  # without TENANCY_HISTORY_DAYS
# What other code asks the log for, however old: how a tenant came, which names its schema had, that
# no new schema gets the name of one that was purged, who deleted the tenant, and who accepted which
# terms.
KEPT = ("provision", "clone", "restore", "rename schema", "delete", "purge", "accept terms")

BY_KEY = " (key "  # between a person and their key; no user name has such signs


def record(
    action: str, tenant: Tenant | None, by: str, *, username="", before="", after=""
) -> TenantEvent:
    """Add a line to the log, in the caller's transaction.

    `action` is a verb phrase of at most 40 characters, such as “send invoice”. `by` is the user
    name of the actor (see `actor`), or the name of a program. `username` is the person who was
    changed, `before` and `after` what was changed. None of them may have secrets. A change of an
    account has no tenant. TENANCY_HISTORY has the sentences for a project's own actions:

        TENANCY_HISTORY = {"send invoice": _("%(by)s sent the invoice %(after)s.")}

    None instead of a sentence leaves an action to the operators.
    """
    where = {"slug": tenant.slug, "schema_name": tenant.schema_name} if tenant else {}
    change = {"username": username, "before": before or "", "after": after or ""}
    return TenantEvent.objects.create(by=by, action=action, **change, **where)


def actor(user) -> str:
    """Return the name of a person for `by`, with that of the key if a program came by one."""
    key = getattr(user, "api_key", None)
    name = user.get_username()
    return f"{name}{BY_KEY}{key.name})" if key else name


def prune() -> int:
    """Delete the lines that are older than TENANCY_HISTORY_DAYS; return how many they were.

    Lines that other code needs stay (KEPT). Failed sign-ins go as well.
    """
    days = getattr(settings, "TENANCY_HISTORY_DAYS", DAYS)
    old = {"at__lt": timezone.now() - timedelta(days=days)}
    FailedSignIn.objects.filter(**old).delete()
    return TenantEvent.objects.filter(**old).exclude(action__in=KEPT).delete()[0]
