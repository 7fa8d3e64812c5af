"""Who exists: people are made, deactivated and anonymised, whatever tenants they belong to.

`by` is who did it, for the log. People are named by user name or e-mail: UnknownUser is raised
where there is nobody.
"""

from django.contrib.admin.models import LogEntry
from django.contrib.auth.password_validation import validate_password
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q, QuerySet
from django_tenants.utils import get_public_schema_name, schema_context
from tenant_users.tenants.models import ExistsError, tenant_user_deleted

from tenancy import roles
from tenancy.concrete import Tenant, User
from tenancy.exceptions import (
    Anonymised,
    InvalidUser,
    LifecycleError,
    NotDeactivated,
    OwnsTenant,
    one_line,
)
from tenancy.models import TenantEvent
from tenancy.people.finding import find_user
from tenancy.people.members import grant, locked, log, revoke


def create_user(username: str, email: str, password: str | None = None) -> User:
    """A new person, of the main website like everybody, and of no tenant yet.

    Without a password they set one by “Forgot your password?”. Raises InvalidUser.
    """
    user = User(username=username, email=email)
    with schema_context(get_public_schema_name()):
        try:
            user.clean_fields(exclude=["password"])
            user.validate_unique()
            if password is not None:
                validate_password(password, user)
        except ValidationError as error:
            raise InvalidUser(sentence(error)) from None
        try:
            with transaction.atomic():
                return User.objects.create_user(email, password, username=username)
        except (ExistsError, IntegrityError):  # somebody was quicker
            raise InvalidUser("Somebody has this user name or e-mail.") from None


def sentence(error: ValidationError) -> str:
    """What is wrong, and with what where the message doesn't say so."""
    named = getattr(error, "message_dict", {"password": error.messages})
    return " ".join(
        text.replace("This field", f"The {name}") for name, texts in named.items() for text in texts
    )


def deactivate(username: str, by: str) -> None:
    """End a person's sessions and memberships everywhere; what they wrote stays.

    Nobody is let in from the next request on, and no session comes alive again. Then the
    memberships end, each tenant on its own: who is killed in between runs it again. Raises
    OwnsTenant, or NotDeactivated for memberships that couldn't be ended.
    """
    with schema_context(get_public_schema_name()):
        with transaction.atomic():
            user = find_user(username, lock=True)
            if slugs := [tenant.slug for tenant in owned(user)]:
                raise OwnsTenant(f"“{user}” owns {', '.join(slugs)}: transfer that first.")
            if user.is_active:
                user.is_active = False
                user.set_unusable_password()  # a session goes by the password that it began with
                user.save(update_fields=["is_active", "password"])
                log("deactivate", user, by)
        end_memberships(user, by)
        tenant_user_deleted.send_robust(sender=type(user), user=user)


def end_memberships(user: User, by: str) -> None:
    """Raises NotDeactivated, which names those that couldn't be ended."""
    failures = []
    for tenant in user.tenants.all():
        try:
            with locked(tenant) as row:
                revoke(row, user, by)
        except (LifecycleError, DatabaseError) as error:
            failures.append(f"{tenant.slug} ({one_line(error)})")
    if failures:
        raise NotDeactivated(
            f"“{user}” can't sign in any more, but is still a member of {', '.join(failures)}."
            " Run it again."
        )


def reactivate(username: str, by: str) -> None:
    """Let a person sign in again: a member of no tenant, who has to set a password.

    They are of the main website again. Raises Anonymised, and NotDeactivated as `deactivate`.
    """
    with schema_context(get_public_schema_name()), transaction.atomic():
        user = find_user(username, lock=True)
        if user.username == gone(user):
            raise Anonymised(f"Nobody knows any more who “{user}” was.")
        if not user.is_active:
            end_memberships(user, by)  # in what was restored or cloned meanwhile
            user.is_active = True
            user.save(update_fields=["is_active"])
            grant(Tenant.objects.get(schema_name=get_public_schema_name()), user, roles.MEMBER)
            log("reactivate", user, by)


def anonymise(username: str, by: str) -> None:
    """Take names, e-mail and preferences from a person who was deactivated, for good.

    They are “gone-<id>” from then on, also in the log and in the public admin's, where who did what
    can be told apart still. What others wrote about them stays, and so do columns that you add to
    the model: a receiver of its `post_save` may clear them. Raises NotDeactivated.
    """
    with schema_context(get_public_schema_name()), transaction.atomic():
        user = find_user(username, lock=True)
        if user.is_active or user.tenants.exists() or owned(user).exists():
            raise NotDeactivated(
                f"“{user}” is still active or a member: deactivate_user comes first."
            )
        names = [user.username, user.email]
        if user.username == gone(user):
            return
        user.username, user.email = gone(user), f"{gone(user)}@people.invalid"
        user.name = user.language = user.time_zone = ""
        user.last_login, user.is_verified = None, False
        user.set_unusable_password()
        user.save()
        for field in ("by", "username", "before", "after"):
            # The other moves have no names of people there.
            moves = Q(action="transfer") if field in ("before", "after") else Q()
            changes = TenantEvent.objects.filter(moves, **{f"{field}__in": names})
            changes.update(**{field: user.username})
        kind = ContentType.objects.get_for_model(user)
        entries = LogEntry.objects.filter(content_type=kind, object_id=str(user.pk))
        entries.update(object_repr=user.username)
        log("anonymise", user, by)


def gone(user: User) -> str:
    """The user name of an anonymised person, which the model gives to nobody else."""
    return f"gone-{user.pk}"


def owned(user: User) -> QuerySet[Tenant]:
    return Tenant.all_objects.filter(owner=user).order_by("slug")
