"""Who belongs to a tenant, in which role, and who is a person at all.

`by` is who did it, for the log. People are named by user name or e-mail: UnknownUser is raised
where there is nobody. What concerns a tenant raises IllegalMove while that is being made or purged;
one that is suspended or deleted has members like any other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.password_validation import validate_password
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import DatabaseError, DataError, IntegrityError, transaction
from django.db.models import Q
from django_tenants.utils import get_public_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import (
    ExistsError,
    tenant_user_added,
    tenant_user_deleted,
    tenant_user_removed,
)

from server.roles.models import Role, put_into_group
from server.tenants.models import Tenant, TenantChange
from server.tenants.moves import LifecycleError, read
from server.tenants.provisioning import UnknownUser

TO_GIVE = (Role.ADMIN, Role.MEMBER)


class InvalidUser(LifecycleError):
    """The user name, the e-mail or the password breaks a rule, or somebody else has it."""


class InvalidRole(LifecycleError):
    """There is no such role, or it isn't given: `lifecycle.transfer` makes an owner."""


class NotAMember(LifecycleError):
    """The person is no member of the tenant."""


class OwnsTenant(LifecycleError):
    """Nobody takes an owner's role or membership; `lifecycle.transfer` comes first."""


class NotDeactivated(LifecycleError):
    """The person is active, or a member somewhere: `deactivate` comes first, or once more."""


class Anonymised(LifecycleError):
    """Nobody knows any more who the person was."""


class Membership(NamedTuple):
    user: AbstractBaseUser
    role: Role
    since: datetime


def create_user(username: str, email: str, password: str | None = None) -> AbstractBaseUser:
    """A new person, of the main website like everybody, and of no tenant yet.

    Without a password they set one by “Forgot your password?”. Raises InvalidUser.
    """
    User = get_user_model()
    user = User(username=username, email=email)
    with schema_context(get_public_schema_name()):
        try:
            user.clean_fields(exclude=["password"])
            user.validate_unique()
            if password is not None:
                validate_password(password, user)
        except ValidationError as error:
            raise InvalidUser(" ".join(error.messages)) from None
        try:
            with transaction.atomic():
                return User.objects.create_user(email, password, username=username)
        except (ExistsError, IntegrityError):  # somebody was quicker
            raise InvalidUser("Somebody has this user name or e-mail.") from None


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


def deactivate(username: str, by: str) -> None:
    """End a person's sessions and memberships everywhere; what they wrote stays.

    Nobody is let in from the next request on, and no session comes alive again. Then the
    memberships end, each tenant on its own: who is killed in between runs it again. Raises
    OwnsTenant, or NotDeactivated for memberships that couldn't be ended.
    """
    with schema_context(get_public_schema_name()):
        with transaction.atomic():
            user = find(username)
            if slugs := [tenant.slug for tenant in owned(user)]:
                raise OwnsTenant(f"“{user}” owns {', '.join(slugs)}: transfer that first.")
            if user.is_active:
                user.is_active = False
                user.set_unusable_password()  # a session goes by the password that it began with
                user.save(update_fields=["is_active", "password"])
                log("deactivate", user, by)
        failures = []
        for tenant in user.tenants.all():
            try:
                with entering(tenant) as row:
                    leave(row, user, by)
            except (LifecycleError, DatabaseError) as error:
                failures.append(f"{tenant.slug} ({' '.join(str(error).split())})")
        if failures:
            raise NotDeactivated(
                f"“{user}” can't sign in any more, but is still a member of {', '.join(failures)}."
                " Run it again."
            )
        tenant_user_deleted.send_robust(sender=type(user), user=user)


def reactivate(username: str, by: str) -> None:
    """Let a person sign in again: a member of no tenant, who has to set a password.

    They are of the main website again. Raises Anonymised.
    """
    with schema_context(get_public_schema_name()), transaction.atomic():
        user = find(username)
        if user.username == gone(user):
            raise Anonymised(f"Nobody knows any more who “{user}” was.")
        if not user.is_active:
            user.is_active = True
            user.save(update_fields=["is_active"])
            give(Tenant.objects.get(schema_name=get_public_schema_name()), user, Role.MEMBER)
            log("reactivate", user, by)


def anonymise(username: str, by: str) -> None:
    """Take name and e-mail from a person who was deactivated, for good.

    They are “gone-<id>” from then on, also in the log and in the public admin's, where who did what
    can be told apart still. What others wrote about them stays, and so do columns that you add to
    the model: a receiver of its `post_save` may clear them. Raises NotDeactivated.
    """
    with schema_context(get_public_schema_name()), transaction.atomic():
        user = find(username)
        if user.is_active or user.tenants.exists() or owned(user).exists():
            raise NotDeactivated(
                f"“{user}” is still active or a member: deactivate_user comes first."
            )
        names = [user.username, user.email]
        if user.username == gone(user):
            return
        user.username, user.email = gone(user), f"{gone(user)}@people.invalid"
        user.last_login, user.is_verified = None, False
        user.set_unusable_password()
        user.save()
        for field in ("by", "username", "before", "after"):
            # The other moves have no names of people there.
            moves = Q(move="transfer") if field in ("before", "after") else Q()
            changes = TenantChange.objects.filter(moves, **{f"{field}__in": names})
            changes.update(**{field: user.username})
        kind = ContentType.objects.get_for_model(user)
        entries = LogEntry.objects.filter(content_type=kind, object_id=str(user.pk))
        entries.update(object_repr=user.username)
        log("anonymise", user, by)


def gone(user: AbstractBaseUser) -> str:
    """The user name of an anonymised person, which the model gives to nobody else."""
    return f"gone-{user.pk}"


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


def owned(user: AbstractBaseUser):
    return Tenant.everything.filter(owner=user).order_by("slug")


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
