"""The history of tenants and people: the lines of the log that no transition writes."""

from tenancy.concrete import Tenant
from tenancy.models import TenantEvent


def record(
    action: str, tenant: Tenant | None, by: str, *, username="", before="", after=""
) -> TenantEvent:
    """Add a line to the log, in the caller's transaction.

    `by` is the user name of the actor, or the name of a program. `username` is the person who was
    changed. A change of an account has no tenant.
    """
    where = {"slug": tenant.slug, "schema_name": tenant.schema_name} if tenant else {}
    change = {"username": username, "before": before or "", "after": after or ""}
    return TenantEvent.objects.create(by=by, action=action, **change, **where)
