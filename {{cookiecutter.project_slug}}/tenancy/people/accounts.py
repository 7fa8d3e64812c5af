"""Make, deactivate and anonymise people, in all tenants at once.

`by` is the name of the person or program for the log. People are named by user name or e-mail;
UnknownUser is raised if no user has it.
"""

import re
import secrets

from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.contrib.auth.password_validation import validate_password
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Concat, Substr
from django.utils.translation import gettext as _
from django_tenants.utils import get_public_schema_name, schema_context
from tenant_users.tenants.models import ExistsError, tenant_user_deleted

from tenancy import hosts, roles
from tenancy.concrete import Tenant, User
from tenancy.duplicates import duplicated
from tenancy.emails import send_email
from tenancy.exceptions import (
    Anonymised,
    InvalidUser,
    LifecycleError,
    NotDeactivated,
    OwnsTenant,
    one_line,
)
from tenancy.factors import APP
from tenancy.history import BY_KEY, record
from tenancy.isolation.credentials import delete_credentials, delete_sign_ins
from tenancy.models import ApiKey, Archive, DataJob, FailedSignIn, HandOver, Invitation, TenantEvent
from tenancy.people.members import find_user, grant, locked, log, revoke


def create_user(username: str, email: str, password: str | None = None) -> User:
    """Return a new person, who is a member of the main website and of no tenant.

    Without a password they set one with “Forgot your password?”. Raises InvalidUser.
    """
    user = User(username=username, email=email)
    with schema_context(get_public_schema_name()):
        try:
            user.clean_fields(exclude=["password"])
            user.validate_unique()
            if password is not None:
                validate_password(password, user)
            with transaction.atomic():
                return User.objects.create_user(email, password, username=username)
        except ValidationError as error:
            raise InvalidUser(sentence(error)) from None
        except ExistsError as error:
            raise InvalidUser(str(error)) from None
        except IntegrityError as conflict:  # of two calls at once, the other won
            if (found := duplicated(conflict)) is None:
                raise
            model, names = found
            what = " and ".join(str(model._meta.get_field(name).verbose_name) for name in names)
            message = _("Another user has this %(what)s.") % {"what": what}
            raise InvalidUser(message) from None


def new_username(email: str) -> str:
    """Return a user name. Its random part hides whether somebody has the plain name already."""
    local = re.sub("[^a-z0-9]+", ".", email.partition("@")[0].lower()).strip(".")
    return f"{local[:40] or 'member'}-{secrets.token_hex(2)}"


def unclaimed(email: str) -> User | None:
    """Return the person with this address who has never confirmed one: the row is nobody's."""
    if EmailAddress.objects.is_verified(email):
        return None
    return User.objects.filter(email=email, is_verified=False, is_active=True).first()


def join_main_website(user: User) -> None:
    """Save a new person whom a library has made, and make them a member of the main website."""
    with transaction.atomic():
        user.save()
        Tenant.objects.get(schema_name=get_public_schema_name()).add_user(user)


def sentence(error: ValidationError) -> str:
    """Return the messages as one text, which names the field instead of “this field”."""
    named = getattr(error, "message_dict", {"password": error.messages})
    return " ".join(
        text.replace("This field", f"The {name}") for name, texts in named.items() for text in texts
    )


def deactivate(username: str, by: str) -> None:
    """End a person's sessions, credentials and memberships everywhere; what they wrote stays.

    So do the password, second factors, passkeys and social accounts.

    First a commit ends all sessions for good. Then the memberships end, each tenant in its own
    transaction. If the process is killed in between, the next call finishes it. Raises OwnsTenant,
    or NotDeactivated if some memberships couldn't be ended.
    """
    with schema_context(get_public_schema_name()):
        with transaction.atomic():
            user = find_user(username, lock=True)
            if slugs := [tenant.slug for tenant in owned(user)]:
                raise OwnsTenant(f"“{user}” owns {', '.join(slugs)}: transfer that first.")
            if user.is_active:
                user.is_active = False
                user.set_unusable_password()  # a session depends on the password
                user.save(update_fields=["is_active", "password"])
                delete_sign_ins(user)
                log("deactivate", user, by)
        end_memberships(user, by)
        tenant_user_deleted.send_robust(sender=type(user), user=user)


def end_sessions(username: str, by: str) -> None:
    """End a person's sessions and credentials everywhere; the memberships and the password stay."""
    with schema_context(get_public_schema_name()), transaction.atomic():
        user = find_user(username, lock=True)
        end_sessions_of(user)
        log("end sessions", user, by)


def end_all_sessions(by: str) -> int:
    """End the sessions of all people, here and in all tenants; return how many people there are."""
    with schema_context(get_public_schema_name()), transaction.atomic():
        count = User.objects.update(session_epoch=F("session_epoch") + 1)
        record("end all sessions", None, by)
    return count


def end_sessions_of(user: User) -> None:
    user.session_epoch += 1
    user.save(update_fields=["session_epoch"])
    ApiKey.objects.filter(user=user).delete()
    for tenant in user.tenants.all():
        with tenant:
            delete_credentials(user)


def reset_mfa(username: str, by: str) -> None:
    """Take away the second factors and passkeys of a person who has lost them.

    It ends the person's sessions and credentials everywhere, and tells the person by e-mail.
    """
    with schema_context(get_public_schema_name()):
        with transaction.atomic():
            user = find_user(username, active=True, lock=True)
            delete_sign_ins(user, (APP,))
            user.refresh_from_db(fields=["session_epoch"])
            end_sessions_of(user)
            log("reset mfa", user, by)
        url = hosts.main_website_url("/account/")
        send_email("mfa_reset", user.email, {"url": url})


def end_memberships(user: User, by: str) -> None:
    """Raises NotDeactivated, with the tenants where the membership couldn't be ended."""
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
    """Let a deactivated person sign in again, who must set a password first.

    They are a member of the main website and of no tenant. Raises Anonymised or NotDeactivated.
    """
    with schema_context(get_public_schema_name()), transaction.atomic():
        user = find_user(username, lock=True)
        if user.username == gone(user):
            raise Anonymised(f"“{user}” was anonymised and can't come back.")
        if not user.is_active:
            end_memberships(user, by)  # in tenants that were restored or cloned meanwhile
            user.is_active = True
            user.save(update_fields=["is_active"])
            grant(Tenant.objects.get(schema_name=get_public_schema_name()), user, roles.MEMBER)
            log("reactivate", user, by)


def anonymise(username: str, by: str) -> None:
    """Erase names, e-mail and preferences of a deactivated person, for good.

    Their user name becomes “gone-<id>”, also in the tenants' log and in the public admin's, where
    one person's changes stay recognizable. Texts by others stay. So do fields that the project
    added to its user model: clear them in a receiver of its `post_save`. Raises NotDeactivated.
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
        addresses = EmailAddress.objects.filter(user=user)
        emails = {names[1], *addresses.values_list("email", flat=True)}
        Invitation.objects.filter(Q(email__in=emails) | Q(accepted_by=user)).delete()
        invited = TenantEvent.objects.filter(username__in=emails)  # with an address as the name
        invited.update(username=user.username)
        for model in (ApiKey, EmailAddress, HandOver):
            model.objects.filter(user=user).delete()
        FailedSignIn.objects.filter(person=str(user.pk)).delete()
        DataJob.objects.filter(user=user).exclude(ended=None).delete()
        Archive.objects.filter(by__in=names).update(by=user.username)
        delete_sign_ins(user)
        transfers = TenantEvent.objects.filter(action="transfer")
        for field in ("by", "username", "before", "after"):
            # Other events have no people's names in `before` and `after`.
            events = transfers if field in ("before", "after") else TenantEvent.objects
            events.filter(**{f"{field}__in": names}).update(**{field: user.username})
        for name in names:
            prefix = f"{name}{BY_KEY}"
            events = TenantEvent.objects.filter(by__startswith=prefix)
            rest = Substr("by", len(prefix) + 1)
            events.update(by=Concat(Value(f"{user.username}{BY_KEY}"), rest))
        kind = ContentType.objects.get_for_model(user)
        entries = LogEntry.objects.filter(content_type=kind, object_id=str(user.pk))
        entries.update(object_repr=user.username)
        log("anonymise", user, by)


def gone(user: User) -> str:
    """Return the user name of an anonymised person. The model refuses it for others."""
    return f"gone-{user.pk}"


def forget_sign_ins(user: User) -> None:
    """In public, take away every way to sign in that was set up before, and end all sessions."""
    user.set_unusable_password()
    user.session_epoch += 1
    user.save(update_fields=["password", "session_epoch"])
    ApiKey.objects.filter(user=user).delete()
    delete_credentials(user)
    delete_sign_ins(user)


def owned(user: User) -> QuerySet[Tenant]:
    return Tenant.all_objects.filter(owner=user).order_by("slug")
