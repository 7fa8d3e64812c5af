"""Who exists: people are made, deactivated and anonymised, whatever tenants they belong to.

`by` is who did it, for the log. People are named by user name or e-mail: UnknownUser is raised
where there is nobody.
"""

from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.password_validation import validate_password
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q, QuerySet
from django_tenants.utils import get_public_schema_name, schema_context
from tenant_users.tenants.models import ExistsError, tenant_user_deleted

from server.roles.models import Role
from server.tenants.errors import in_a_line
from server.tenants.members import OwnsTenant, entering, find, give, leave, log
from server.tenants.models import Tenant, TenantChange
from server.tenants.moves import LifecycleError


class InvalidUser(LifecycleError):
    """The user name, the e-mail or the password breaks a rule, or somebody else has it."""


class NotDeactivated(LifecycleError):
    """The person is active, or a member somewhere: `deactivate` comes first, or once more."""


class Anonymised(LifecycleError):
    """Nobody knows any more who the person was."""


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
            user = find(username)
            if slugs := [tenant.slug for tenant in owned(user)]:
                raise OwnsTenant(f"“{user}” owns {', '.join(slugs)}: transfer that first.")
            if user.is_active:
                user.is_active = False
                user.set_unusable_password()  # a session goes by the password that it began with
                user.save(update_fields=["is_active", "password"])
                log("deactivate", user, by)
        end_memberships(user, by)
        tenant_user_deleted.send_robust(sender=type(user), user=user)


def end_memberships(user: AbstractBaseUser, by: str) -> None:
    """Raises NotDeactivated, which names those that couldn't be ended."""
    failures = []
    for tenant in user.tenants.all():
        try:
            with entering(tenant) as row:
                leave(row, user, by)
        except (LifecycleError, DatabaseError) as error:
            failures.append(f"{tenant.slug} ({in_a_line(error)})")
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
        user = find(username)
        if user.username == gone(user):
            raise Anonymised(f"Nobody knows any more who “{user}” was.")
        if not user.is_active:
            end_memberships(user, by)  # in what was restored or cloned meanwhile
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


def owned(user: AbstractBaseUser) -> QuerySet[Tenant]:
    return Tenant.everything.filter(owner=user).order_by("slug")
