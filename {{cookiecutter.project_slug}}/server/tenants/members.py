"""Who belongs to a tenant, in which role.

`by` is who did it, for the log. People are named by user name or e-mail: UnknownUser is raised
where there is nobody. What concerns a tenant raises IllegalMove while that is being made or purged;
one that is suspended or deleted has members like any other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import DataError, transaction
from django_tenants.utils import get_public_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import tenant_user_added, tenant_user_removed

from server.roles.models import Role, put_into_group
from server.tenants.models import Tenant, TenantChange
from server.tenants.moves import LifecycleError, read
from server.tenants.reservation import UnknownUser

TO_GIVE = (Role.ADMIN, Role.MEMBER)


class InvalidRole(LifecycleError):
    """There is no such role, or it isn't given: `lifecycle.transfer` makes an owner."""


class NotAMember(LifecycleError):
    """The person is no member of the tenant."""


class OwnsTenant(LifecycleError):
    """Nobody takes an owner's role or membership; `lifecycle.transfer` comes first."""


class Membership(NamedTuple):
    user: AbstractBaseUser
    role: Role
    since: datetime


def add_member(tenant: Tenant, username: str, role: str = Role.MEMBER, *, by: str) -> None:
    """Make an active person a member of the tenant, or give a member another role.

    An admin may do everything in the tenant but to the owner. Raises InvalidRole or OwnsTenant.
    """
    if role not in TO_GIVE:
        raise InvalidRole(f"A role is {' or '.join(TO_GIVE)}; transfer_tenant makes an owner.")
    with entering(tenant) as row:
        user = find(username, active=True)
        before = role_of(row, user)
        refuse_owner(row, user)
        give(row, user, role)
        if before != role:
            log("change role" if before else "add member", user, by, before, role, row)


def remove_member(tenant: Tenant, username: str, *, by: str) -> None:
    """End a membership, and with it the person's sessions there. What they wrote stays.

    Raises OwnsTenant or NotAMember.
    """
    with entering(tenant) as row:
        user = find(username)
        refuse_owner(row, user)
        if not leave(row, user, by):
            raise NotAMember(f"“{user}” is no member of “{row.slug}”.")


def list_members(tenant: Tenant) -> list[Membership]:
    """The tenant's members, by user name."""
    with schema_context(get_public_schema_name()), read("enter", tenant) as row:
        rows = UserTenantPermissions.objects.select_related("profile").order_by("profile__username")
        return [
            Membership(rights.profile, role_by(row, rights), rights.created_at) for rights in rows
        ]


@contextmanager
def entering(tenant: Tenant) -> Iterator[Tenant]:
    """A transaction in public with the tenant's row, locked: one of two comes after the other."""
    with schema_context(get_public_schema_name()), transaction.atomic():
        yield read("enter", tenant, lock=True)


def find(username: str, *, active: bool = False) -> AbstractBaseUser:
    """The person of that user name or e-mail, locked: nobody is deactivated and added at once."""
    User = get_user_model()
    try:
        pk = User.objects.get_by_natural_key(username).pk
        wanted = {"is_active": True} if active else {}
        return User.objects.select_for_update(no_key=True).get(pk=pk, **wanted)
    except (User.DoesNotExist, ValueError, DataError):  # the last two for NUL, by the driver
        who = "active user" if active else "user"
        raise UnknownUser(f"There is no {who} “{username}”.") from None


def refuse_owner(tenant: Tenant, user: AbstractBaseUser) -> None:
    if tenant.owner_id == user.pk:
        raise OwnsTenant(f"“{user}” owns “{tenant.slug}”: transfer it first.")


def role_of(tenant: Tenant, user: AbstractBaseUser) -> Role | None:
    with tenant:
        rights = UserTenantPermissions.objects.filter(profile_id=user.pk).first()
    return role_by(tenant, rights) if rights else None


def role_by(tenant: Tenant, rights: UserTenantPermissions) -> Role:
    if rights.profile_id == tenant.owner_id:
        return Role.OWNER
    return Role.ADMIN if rights.is_superuser else Role.MEMBER


def give(tenant: Tenant, user: AbstractBaseUser, role: str) -> None:
    """Make the person a member in that role; whatever they were, or was half there, before."""
    has_all = role != Role.MEMBER
    rights = {"is_staff": has_all, "is_superuser": has_all}
    with tenant:
        _, is_new = UserTenantPermissions.objects.update_or_create(rights, profile_id=user.pk)
        put_into_group(user.pk, role)
        user.tenants.add(tenant)
    if is_new:
        tenant_user_added.send_robust(sender=Tenant, user=user, tenant=tenant)


def leave(tenant: Tenant, user: AbstractBaseUser, by: str) -> bool:
    """End the membership, also one that is only half there; returns whether there was any."""
    before = role_of(tenant, user)
    if before is None and not user.tenants.filter(pk=tenant.pk).exists():
        return False
    with tenant:
        UserTenantPermissions.objects.filter(profile_id=user.pk).delete()
        user.tenants.remove(tenant)
    tenant_user_removed.send_robust(sender=Tenant, user=user, tenant=tenant)
    log("remove member", user, by, before, None, tenant)
    return True


def log(move, user, by, before: Role | None = None, after=None, tenant: Tenant | None = None):
    TenantChange.objects.create(
        by=by,
        move=move,
        username=user.username,
        slug=tenant.slug if tenant else "",
        schema_name=tenant.schema_name if tenant else "",
        before=before or "",
        after=after or "",
    )
