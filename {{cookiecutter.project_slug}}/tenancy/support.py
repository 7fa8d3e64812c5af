"""Support: an operator is in a workspace because its owner lets operators in for a while.

`allow` and `end` are the owner's, `ask` is the operator's. `tenancy.requests.support` serves the
operator's requests there. Each step has a line in the workspace's history.
"""

from datetime import UTC, timedelta

from django.apps import apps
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django_tenants.utils import get_public_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions

from tenancy import hosts
from tenancy.concrete import Tenant, User
from tenancy.emails import send_email
from tenancy.factors import has_second_factor
from tenancy.history import record
from tenancy.isolation.credentials import credential_models
from tenancy.isolation.membership import remember
from tenancy.isolation.router import is_in_tenants
from tenancy.limits import limit
from tenancy.models import HandOver, SupportGrant

PERMISSION = "tenancy.support_tenant"  # of an operator, at the main website
PUBLIC = get_public_schema_name()

# The lines in the history.
ALLOW, END, EXPIRE = "allow support", "end support", "expire support"
ENTER, LEAVE, ASK = "enter as support", "leave as support", "ask for support"
READ, WRITE = "read only", "read and write"
STEPS = (ALLOW, END, EXPIRE, ENTER, LEAVE, ASK)

# Their rows say who may do what in the workspace. Support neither sees nor changes them.
OF_SECURITY = ("admin", "auth", "contenttypes", "permissions", "sessions", "tenancy")


def is_operator(user: User) -> bool:
    """Return whether the person may enter workspaces whose owners allow it.

    That is staff of the main website with the permission, and with a second factor.
    """
    with schema_context(PUBLIC):
        return (
            user.is_active
            and user.is_staff
            and user.has_perm(PERMISSION)
            and has_second_factor(user)
        )


def allow(tenant: Tenant, owner: User, lasts: timedelta, *, may_write: bool) -> SupportGrant:
    """Let operators into the workspace for so long. An earlier grant and its sessions end."""
    with schema_context(PUBLIC), transaction.atomic():
        Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)  # of two at once, one waits
        if grant := unended(tenant).first():
            close(grant, owner.get_username())
        until = timezone.now() + lasts
        grant = SupportGrant.objects.create(
            tenant=tenant, allowed_by=owner, may_write=may_write, expires=until
        )
        record(ALLOW, tenant, owner.get_username(), **describe(grant))
    return grant


def end(tenant: Tenant, by: str) -> bool:
    """Let no operator in any more; return whether any could enter.

    The next request of each that is there ends their session.
    """
    with schema_context(PUBLIC), transaction.atomic():
        grant = unended(tenant).select_for_update(of=["self"]).first()
        return grant is not None and close(grant, by)


def close(grant: SupportGrant, by: str) -> bool:
    """End the grant; return whether it was still good. The history says if it had expired."""
    is_good = grant.expires > timezone.now()
    SupportGrant.objects.filter(pk=grant.pk).update(ended=Now())
    action, by = (END, by) if is_good else (EXPIRE, "")
    record(action, grant.tenant, by, **describe(grant))
    return is_good


def current_grant(tenant: Tenant) -> SupportGrant | None:
    """Return the grant that is good now. One that has expired is written down as such."""
    with schema_context(PUBLIC):
        if grant := unended(tenant).filter(expires__gt=Now()).first():
            # It ends with the ownership of the person who gave it.
            return grant if grant.allowed_by_id == grant.tenant.owner_id else None
        note_expiry(tenant)
    return None


def note_expiry(tenant: Tenant) -> None:
    """Let the history say that the time is over, if it is."""
    with schema_context(PUBLIC):
        if unended(tenant).filter(expires__lte=Now()).exists():
            end(tenant, "")


def grant_for(tenant: Tenant, user: User) -> SupportGrant | None:
    """Return the grant by which the person may be in the workspace now, or None."""
    return current_grant(tenant) if is_operator(user) else None


def unended(tenant: Tenant) -> QuerySet[SupportGrant]:
    rows = SupportGrant.objects.filter(tenant=tenant.pk, ended=None)
    return rows.select_related("tenant")


def ask(tenant: Tenant, operator: User) -> None:
    """Ask the owner by e-mail to let operators in. Raises RateLimited."""
    limit("support-ask", tenant.schema_name, "3/1d")
    with schema_context(PUBLIC):
        record(ASK, tenant, operator.get_username())
        host = tenant.get_primary_domain().domain
        context = {"workspace": tenant.name, "url": hosts.site_url(host, "/workspace/support/")}
        send_email("support_asked", tenant.owner.email, context)


def leave(tenant: Tenant, user: User, session_key: str, reason: str) -> None:
    """Write down that the operator's session in the workspace is over."""
    HandOver.objects.filter(tenant=tenant.pk, workspace_session=session_key).delete()
    record(LEAVE, tenant, user.get_username(), after=reason)


def describe(grant: SupportGrant) -> dict[str, str]:
    """Return what the grant allows, and until when, for the log."""
    until = f"{grant.expires.astimezone(UTC):%F %H:%M} UTC"
    return {"before": WRITE if grant.may_write else READ, "after": until}


def be_there(user: User, tenant: Tenant, grant: SupportGrant) -> None:
    """Make the person somebody in the workspace, as long as this object of them lives.

    They have no role, so that they manage nothing, and the permissions on the tables of the
    project's own apps: to view rows, or all of them.
    """
    rights = UserTenantPermissions(is_staff=True, is_superuser=False)
    rights.role, rights.support = None, grant
    permissions = permissions_of(grant)
    # Django's backend would read them from the row, which isn't in the database.
    vars(rights).update(
        _perm_cache=permissions, _group_perm_cache=permissions, _user_perm_cache=set()
    )
    remember(user, tenant.schema_name, rights)


def permissions_of(grant: SupportGrant) -> set[str]:
    found = set()
    hidden = {*credential_models()}
    for model in apps.get_models():
        opts = model._meta
        if opts.app_label in OF_SECURITY or model in hidden or not is_in_tenants(model):
            continue
        names = {f"{action}_{opts.model_name}" for action in opts.default_permissions}
        if grant.may_write:
            names |= {codename for codename, _ in opts.permissions}
        else:
            names &= {f"view_{opts.model_name}"}
        found |= {f"{opts.app_label}.{name}" for name in names}
    return found
