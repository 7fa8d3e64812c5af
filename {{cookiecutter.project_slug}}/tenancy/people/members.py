"""The members of a tenant, and their roles.

`by` is the name of the person or program for the log. People are named by user name or e-mail;
UnknownUser is raised if nobody has it. IllegalTransition is raised while the tenant is being made
or purged. A suspended or deleted tenant has members like any other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django_tenants.utils import get_public_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import tenant_user_added, tenant_user_removed

from tenancy import roles
from tenancy.concrete import Tenant, User
from tenancy.exceptions import InvalidRole, NotAMember, OwnsTenant
from tenancy.models import TenantEvent
from tenancy.people.finding import find_user
from tenancy.states import fetch_for


class Membership(NamedTuple):
    user: User
    role: str | None
    since: datetime


def add_member(tenant: Tenant, username: str, role: str = roles.MEMBER, *, by: str) -> None:
    """Make an active person a member of the tenant, or give a member another role.

    `role` is a key of TENANCY_ROLES. Raises InvalidRole or OwnsTenant.
    """
    assignable = roles.assignable_roles()
    if role not in assignable:
        names = " or ".join(assignable)
        raise InvalidRole(f"A role is {names}; transfer_tenant makes an owner.")
    with locked(tenant) as row:
        user = find_user(username, active=True, lock=True)
        before = role_of(row, user)
        refuse_owner(row, user)
        grant(row, user, role)
        if before != role:
            log("change role" if before else "add member", user, by, before, role, row)


def remove_member(tenant: Tenant, username: str, *, by: str) -> None:
    """End a membership, and with it the person's sessions there. What they wrote stays.

    Raises OwnsTenant or NotAMember.
    """
    with locked(tenant) as row:
        user = find_user(username, lock=True)
        refuse_owner(row, user)
        if not revoke(row, user, by):
            raise NotAMember(f"“{user}” is not a member of “{row.slug}”.")


def list_members(tenant: Tenant) -> list[Membership]:
    """Return the tenant's members, ordered by user name."""
    with schema_context(get_public_schema_name()), fetch_for("enter", tenant) as row:
        rows = UserTenantPermissions.objects.select_related("profile").annotate(
            role=roles.role_name()
        )
        return [
            Membership(rights.profile, role_from(row, rights), rights.created_at)
            for rights in rows.order_by("profile__username")
        ]


@contextmanager
def locked(tenant: Tenant) -> Iterator[Tenant]:
    """Begin a transaction in public with a lock on the tenant's row; yield the row."""
    with schema_context(get_public_schema_name()), transaction.atomic():
        yield fetch_for("enter", tenant, lock=True)


def refuse_owner(tenant: Tenant, user: User) -> None:
    if tenant.owner_id == user.pk:
        raise OwnsTenant(f"“{user}” owns “{tenant.slug}”: transfer it first.")


def role_of(tenant: Tenant, user: User) -> str | None:
    """Return the person's role in the tenant; None for a person who is no member."""
    with tenant:
        rows = UserTenantPermissions.objects.filter(profile_id=user.pk)
        rights = rows.annotate(role=roles.role_name()).first()
    return role_from(tenant, rights) if rights else None


def role_from(tenant: Tenant, rights: UserTenantPermissions) -> str:
    """Return the role of a row that has the annotation `roles.role_name()`."""
    if rights.profile_id == tenant.owner_id:
        return roles.OWNER
    return rights.role or (roles.ADMIN if rights.is_superuser else roles.MEMBER)


def grant(tenant: Tenant, user: User, role: str) -> None:
    """Make the person a member with that role, whatever role they had before."""
    with tenant:
        _, is_new = UserTenantPermissions.objects.update_or_create(
            roles.flags(role), profile_id=user.pk
        )
        roles.assign_role(user.pk, role)
        user.tenants.add(tenant)
    if is_new:
        tenant_user_added.send_robust(sender=Tenant, user=user, tenant=tenant)


def revoke(tenant: Tenant, user: User, by: str) -> bool:
    """End the membership, also if only one half of it is there; return whether there was any."""
    before = role_of(tenant, user)
    if before is None and not user.tenants.filter(pk=tenant.pk).exists():
        return False
    with tenant:
        UserTenantPermissions.objects.filter(profile_id=user.pk).delete()
        user.tenants.remove(tenant)
    tenant_user_removed.send_robust(sender=Tenant, user=user, tenant=tenant)
    log("remove member", user, by, before, None, tenant)
    return True


def log(
    action: str,
    user: User,
    by: str,
    before: str | None = None,
    after: str | None = None,
    tenant: Tenant | None = None,
) -> None:
    """Log what was done to a person."""
    TenantEvent.objects.create(
        by=by,
        action=action,
        username=user.username,
        slug=tenant.slug if tenant else "",
        schema_name=tenant.schema_name if tenant else "",
        before=before or "",
        after=after or "",
    )
