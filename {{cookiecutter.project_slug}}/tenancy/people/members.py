"""The members of a tenant, and their roles.

`by` is the name of the person or program for the log. People are named by user name or e-mail;
UnknownUser is raised if no user has it. IllegalTransition is raised while the tenant is being made
or purged. Members of a suspended or deleted tenant can be changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from django.db import DataError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django_tenants.utils import get_public_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import tenant_user_added, tenant_user_removed

from tenancy import roles, support
from tenancy.concrete import Tenant, User
from tenancy.exceptions import IllegalTransition, InvalidRole, NotAMember, OwnsTenant, UnknownUser
from tenancy.history import record
from tenancy.isolation.credentials import delete_credentials
from tenancy.models import ApiKey, Invitation, LastSeen
from tenancy.people.seats import require_seat
from tenancy.states import fetch_for, transition


class ListedMember(NamedTuple):
    user: User
    role: str | None
    since: datetime


def find_user(username: str, *, active: bool = False, lock: bool = False) -> User:
    """Return the person with the user name or e-mail. Raises UnknownUser.

    With `active`, a deactivated person is unknown. With `lock`, the person can't be deactivated
    before the end of the transaction.
    """
    people = User.objects.select_for_update(no_key=True) if lock else User.objects.all()
    try:
        user = people.get(**User.objects.natural_key(username))
    except (User.DoesNotExist, ValueError, DataError):  # the driver raises the last two for NUL
        user = None
    if user is None or (active and not user.is_active_anywhere):
        raise UnknownUser(f"There is no {'active ' * active}user “{username}”.")
    return user


def add_member(tenant: Tenant, username: str, role: str = roles.MEMBER, *, by: str) -> None:
    """Make an active person a member of the tenant, or give a member another role.

    `role` is a key of TENANCY_ROLES. Raises InvalidRole, OwnsTenant or NoSeat.
    """
    set_role(tenant, username, role, by)


def change_role(tenant: Tenant, username: str, role: str, *, by: str) -> None:
    """Give a member another role. Raises InvalidRole, OwnsTenant or NotAMember."""
    set_role(tenant, username, role, by, of_member=True)


def set_role(tenant: Tenant, username: str, role: str, by: str, *, of_member=False) -> None:
    assignable = roles.assignable_roles()
    if role not in assignable:
        names = " or ".join(assignable)
        raise InvalidRole(f"A role is {names}; transfer_tenant makes an owner.")
    with locked(tenant) as row:
        user = find_user(username, active=True, lock=True)
        before = role_of(row, user)
        refuse_owner(row, user)
        if of_member and before is None:
            raise not_a_member(row, user)
        if before is None:
            require_seat(row)
        grant(row, user, role)
        if before != role:
            log("change role" if before else "add member", user, by, row, before, role)


def remove_member(tenant: Tenant, username: str, *, by: str) -> None:
    """End a membership, with the person's sessions and credentials. What they wrote stays.

    Raises OwnsTenant or NotAMember.
    """
    with locked(tenant) as row:
        user = find_user(username, lock=True)
        refuse_owner(row, user)
        if not revoke(row, user, by):
            raise not_a_member(row, user)


def make_owner(tenant: Tenant, username: str, by: str) -> Tenant:
    """Give the tenant to another owner; see `lifecycle.transfer`."""
    with transition("transfer", tenant, by) as (row, event):
        old, new = row.owner, find_user(username, active=True)
        if new == old:
            raise IllegalTransition("transfer", row.slug, f"{new} owns it already")
        event.before, event.after = str(old), str(new)
        if not row.user_set.contains(new):
            require_seat(row)
        row.owner = new
        support.end(row, by)  # what the old owner has allowed
        grant(row, old, roles.MEMBER)
        grant(row, new, roles.OWNER)
        return row


def list_members(tenant: Tenant) -> list[ListedMember]:
    """Return the tenant's members, ordered by user name."""
    with schema_context(get_public_schema_name()), fetch_for("enter", tenant) as row:
        members = UserTenantPermissions.objects.annotate(role=roles.role_name())
        return [
            ListedMember(rights.profile, role_from(row, rights), rights.created_at)
            for rights in members.select_related("profile").order_by("profile__username")
        ]


@contextmanager
def locked(tenant: Tenant) -> Iterator[Tenant]:
    """Begin a transaction in public with a lock on the tenant's row; yield the row."""
    with schema_context(get_public_schema_name()), transaction.atomic():
        yield fetch_for("enter", tenant, lock=True)


def refuse_owner(tenant: Tenant, user: User) -> None:
    if tenant.owner_id == user.pk:
        message = _("“%(user)s” owns “%(workspace)s”: transfer it first.")
        raise OwnsTenant(message % {"user": user, "workspace": tenant.slug})


def not_a_member(tenant: Tenant, user: User) -> NotAMember:
    message = _("“%(user)s” is not a member of “%(workspace)s”.")
    return NotAMember(message % {"user": user, "workspace": tenant.slug})


def role_of(tenant: Tenant, user: User) -> str | None:
    """Return the person's role in the tenant, or None without a membership."""
    with tenant:
        rows = UserTenantPermissions.objects.filter(profile_id=user.pk)
        rights = rows.annotate(role=roles.role_name()).first()
    return role_from(tenant, rights) if rights else None


def role_from(tenant: Tenant, rights: UserTenantPermissions) -> str:
    """Return the role of a row that has the annotation `roles.role_name()`.

    It is `unknown` if TENANCY_ROLES no longer has it. The main website has no roles: its people are
    called admins and members by their flags.
    """
    if rights.profile_id == tenant.owner_id:
        return roles.OWNER
    if tenant.schema_name == get_public_schema_name():
        return roles.ADMIN if rights.is_superuser else roles.MEMBER
    return rights.role or roles.UNKNOWN


def grant(tenant: Tenant, user: User, role: str, *, schema_is_new: bool = False) -> None:
    """Make the person a member with that role, instead of any role they had.

    The caller has a lock on the tenant's row, or makes the tenant. With `schema_is_new` nobody is a
    member, and nobody has credentials.
    """
    with tenant:
        found = UserTenantPermissions.objects.filter(profile_id=user.pk)
        rights = None if schema_is_new else found.first()
        is_new = rights is None
        rights = rights or UserTenantPermissions(profile_id=user.pk)
        vars(rights).update(roles.flags(role))
        rights.save()
        roles.assign_role(rights, role, is_new=is_new)
        user.tenants.add(tenant)
        if is_new and not schema_is_new:
            delete_credentials(user)  # those of an earlier membership stay dead
    if is_new:
        tenant_user_added.send_robust(sender=Tenant, user=user, tenant=tenant)


def revoke(tenant: Tenant, user: User, by: str) -> bool:
    """End the membership, even if only half of it is there; return whether there was any."""
    before = role_of(tenant, user)
    if before is None and not user.tenants.filter(pk=tenant.pk).exists():
        return False
    with tenant:
        UserTenantPermissions.objects.filter(profile_id=user.pk).delete()
        delete_credentials(user)
        user.tenants.remove(tenant)
    for model in (ApiKey, LastSeen):
        model.objects.filter(tenant=tenant, user=user).delete()
    # Invitations by them lapse, and stay so if the person comes back.
    sent = Invitation.objects.filter(tenant=tenant, invited_by=user, accepted=None, revoked=None)
    sent.update(revoked=Now())
    tenant_user_removed.send_robust(sender=Tenant, user=user, tenant=tenant)
    log("remove member", user, by, tenant, before)
    return True


def log(action: str, user: User, by: str, tenant: Tenant | None = None, before="", after=""):
    """Log a change of a person."""
    record(action, tenant, by, username=user.username, before=before, after=after)
