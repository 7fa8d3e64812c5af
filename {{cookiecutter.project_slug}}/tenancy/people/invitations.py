"""Invitations to a workspace: a person becomes a member once they accept.

`by` is the member who invites or revokes. The link in the e-mail has a token, which is good once
and for a week, for a person whose account has that e-mail address confirmed. It lapses when the
member who sent it may no longer give the role.

Ownership is given by operators alone, who needn't be members. The person who accepts owns the
workspace.
"""

import re
import secrets
from datetime import timedelta
from functools import partial

from allauth.account.models import EmailAddress
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy import hosts, roles
from tenancy.concrete import Tenant, User
from tenancy.emails import send_email
from tenancy.exceptions import AlreadyMember, InvalidRole, NotInvited
from tenancy.history import record
from tenancy.limits import limit
from tenancy.models import Invitation, Status
from tenancy.people.digests import digest
from tenancy.people.members import find_user, grant, locked, log, make_owner, role_of
from tenancy.people.seats import require_seat

LIFETIME = timedelta(days=7)
KEPT = timedelta(days=30)  # a row after its end
FIRST_DAY = timedelta(days=1)
MAX_NAME = 60  # letters of a name in an e-mail


def invite(tenant: Tenant, email: str, role: str, by: User) -> Invitation:
    """Send an invitation; an earlier one to the same address is replaced.

    Nothing tells whether the address has an account. Raises InvalidRole, AlreadyMember if a member
    has the address in the list of members, NoSeat and RateLimited.
    """
    count(tenant, email)
    with locked(tenant) as row:
        check_sender(row, by, role)
        return make(row, email, role, by)


def invite_owner(tenant: Tenant, email: str, by: User) -> Invitation:
    """Invite an address to own the workspace, which stays its owner's until that is accepted.

    `by` is an operator: staff of the main website who may change tenants. Raises what `invite`
    does.
    """
    count(tenant, email)
    with locked(tenant) as row:
        if not may_hand_over(by):
            raise InvalidRole(_("You can't give this role."))
        return make(row, email, roles.OWNER, by)


def resend(invitation: Invitation, by: User) -> None:
    """Send a pending invitation once more, with a new link in place of the old one.

    Raises NotInvited, InvalidRole, NoSeat and RateLimited.
    """
    count(invitation.tenant, invitation.email)
    with locked(invitation.tenant) as row:
        invitation = find_pending(row, invitation.pk)
        check_sender(row, by, invitation.role)
        if invitation.expires <= timezone.now():
            require_seat(row)
        invitation.invited_by = by
        send(invitation)
        log_invitation("resend invitation", invitation, by, after=invitation.role)


def revoke(invitation: Invitation, by: User) -> None:
    """End a pending invitation. Raises NotInvited."""
    with locked(invitation.tenant) as row:
        invitation = find_pending(row, invitation.pk)
        invitation.revoked = Now()
        invitation.save(update_fields=["revoked"])
        log_invitation("revoke invitation", invitation, by, before=invitation.role)


def accept(token: str, user: User) -> Tenant:
    """Make the person a member, with the invitation's role. A member keeps the role they have.

    Raises NotInvited if the invitation isn't good, or for another address than the person's, and
    NoSeat if the workspace has fewer seats than when it was sent.
    """
    invitation = find(token)
    if invitation is None:
        raise NotInvited(_("This invitation isn't good any more."))
    with locked(invitation.tenant) as row:
        user = find_user(user.get_username(), active=True, lock=True)
        # Another process may have accepted or revoked it before we had the lock.
        if find(token) is None or not has_address(user, invitation.email):
            raise NotInvited(_("This invitation isn't good any more."))
        own = {"accepted": Now(), "accepted_by": user}
        Invitation.objects.filter(pk=invitation.pk).update(**own)
        if invitation.role == roles.OWNER:
            if row.owner_id != user.pk:
                make_owner(row, user.get_username(), user.get_username())
        elif role_of(row, user) is None:
            require_seat(row)
            grant(row, user, invitation.role)
            log("accept invitation", user, user.get_username(), row, after=invitation.role)
    return row


def find(token: str) -> Invitation | None:
    """Return the invitation if it can be accepted now."""
    rows = Invitation.objects.open().filter(token=digest(token))
    invitation = rows.select_related("tenant", "invited_by").first()
    return invitation if invitation and is_good(invitation) else None


def find_accepted(token: str, user: User) -> Invitation | None:
    """Return the invitation if the person has accepted it, and still is a member."""
    rows = Invitation.objects.filter(token=digest(token), accepted_by=user.pk)
    rows = rows.filter(tenant__user_set=user.pk, tenant__status=Status.ACTIVE)
    return rows.select_related("tenant").first()


def is_good(invitation: Invitation) -> bool:
    """Return whether the workspace is open, and its sender may still give the role."""
    tenant, sender = invitation.tenant, invitation.invited_by
    if tenant.status != Status.ACTIVE or not sender.is_active_anywhere:
        return False
    if invitation.role == roles.OWNER:
        return may_hand_over(sender)
    return roles.may_give(role_of(tenant, sender), invitation.role)


def may_hand_over(operator: User) -> bool:
    """Return whether the person may change the owners of workspaces, as in the public admin."""
    opts = Tenant._meta
    with schema_context(get_public_schema_name()):
        may_change = operator.has_perm(f"{opts.app_label}.change_{opts.model_name}")
        return operator.is_staff and may_change


def pending(tenant: Tenant) -> QuerySet[Invitation]:
    """Return the tenant's invitations that were neither accepted nor revoked, the newest first.

    Those that have expired are among them, since they can be sent again.
    """
    rows = Invitation.objects.filter(tenant=tenant, accepted=None, revoked=None)
    return rows.order_by("-sent", "-pk")


def is_invited(email: str) -> bool:
    """Return whether any workspace invites the address now."""
    rows = Invitation.objects.open().filter(email=email)
    return any(map(is_good, rows.select_related("tenant", "invited_by")))


def has_address(user: User, email: str) -> bool:
    return EmailAddress.objects.filter(user=user, email=email, verified=True).exists()


# Steps


def count(tenant: Tenant, email: str) -> None:
    """Raises RateLimited."""
    if timezone.now() - tenant.created < FIRST_DAY:
        limit("invitation-first-day", tenant.schema_name, "20/1d")
    else:
        limit("invitation", tenant.schema_name, "200/1d")
    limit("invitation-recipient", email, "5/1h")


def make(row: Tenant, email: str, role: str, by: User) -> Invitation:
    if row.schema_name == get_public_schema_name():
        raise InvalidRole(_("The main website has no members to invite."))
    if row.user_set.filter(email=email).exists():
        message = _("%(email)s is a member already.")
        raise AlreadyMember(message % {"email": email})
    Invitation.objects.filter(tenant=row, expires__lt=timezone.now() - KEPT).delete()
    pending(row).filter(email=email).update(revoked=Now())  # also one that has expired
    invitation = Invitation(tenant=row, email=email, role=role, invited_by=by)
    require_seat(row)
    send(invitation)
    log_invitation("invite", invitation, by, after=role)
    return invitation


def check_sender(tenant: Tenant, by: User, role: str) -> None:
    if not roles.may_give(role_of(tenant, by), role):
        raise InvalidRole(_("You can't give this role."))


def find_pending(tenant: Tenant, pk: int) -> Invitation:
    invitation = pending(tenant).filter(pk=pk).first()
    if invitation is None:
        raise NotInvited(_("This invitation was accepted or revoked meanwhile."))
    return invitation


@sensitive_variables("token", "link")
def send(invitation: Invitation) -> None:
    """Save the invitation with a new token, and send the link after the commit."""
    token = secrets.token_urlsafe(32)
    invitation.token, invitation.sent = digest(token), timezone.now()
    invitation.expires = invitation.sent + LIFETIME
    invitation.save()
    sender = invitation.invited_by
    context = {
        "workspace": harmless(invitation.tenant.name),
        "sender": harmless(sender.name or sender.get_username()),
        "link": hosts.main_website_url(f"/invitations/{token}/"),
        "days": LIFETIME.days,
    }
    # Robust: a failed e-mail is logged, and the invitation can be sent again.
    mail = partial(send_email, "invitation", invitation.email, context, invitation.tenant)
    transaction.on_commit(mail, robust=True)


def harmless(name: str) -> str:
    """Return a name that its owner chose as one line in which no program finds a link.

    Otherwise anybody could send a text of theirs to anybody, in the name of this site.
    """
    line = Truncator(" ".join(name.split())).chars(MAX_NAME)
    line = "".join(letter for letter in line if letter.isprintable())
    return re.sub(r"(?<=\S)[.@:/\\](?=\S)", r"\g<0> ", line)


def log_invitation(action: str, invitation: Invitation, by: User, before="", after="") -> None:
    change = {"username": invitation.email, "before": before, "after": after}
    record(action, invitation.tenant, by.get_username(), **change)
