"""The page to which the link of an invitation leads, on the main website."""

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.signup import complete_signup
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from tenancy import hosts, roles
from tenancy.concrete import Tenant, User
from tenancy.exceptions import InvalidUser, NoSeat, NotInvited
from tenancy.models import Invitation
from tenancy.people import invitations
from tenancy.people.accept_next import accept_next, forget_next
from tenancy.people.account.forms import AsksForConsent, log_consent
from tenancy.people.accounts import create_user, new_username, unclaimed


@login_not_required
@never_cache
@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request, token):
    """Show who invites to what. Only a form accepts: programs that scan e-mails open links."""
    invitation = invitations.find(token)
    is_anonymous = not request.user.is_authenticated
    if invitation is None:
        accepted = None if is_anonymous else invitations.find_accepted(token, request.user)
        return welcome(request, accepted.tenant) if accepted else ended(request)
    is_for_them = not is_anonymous and invitations.has_address(request.user, invitation.email)
    form = AsksForConsent(request.POST if request.method == "POST" else None)
    if request.method == "POST" and is_anonymous:
        if "sign-in" in request.POST:
            return accept_next(request, request.path)
        if form.is_valid():
            return sign_up(request, token, invitation)
    elif request.method == "POST" and is_for_them:
        try:
            invitations.accept(token, request.user)
        except NotInvited:  # accepted or revoked in this moment
            return ended(request)
        except NoSeat as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(request.path)
    sender = invitation.invited_by
    context = {
        "invitation": invitation,
        "sender": sender.name or sender.get_username(),
        "role": roles.all_roles()[invitation.role].get("label", invitation.role),
        "may": roles.describe(invitation.role),
        "is_anonymous": is_anonymous,
        "is_for_them": is_for_them,
        "form": form,
        "here": request.path,
    }
    return render(request, "tenancy/invitations/invitation.html", context)


def sign_up(request, token: str, invitation: Invitation) -> HttpResponse:
    """Make the invited person's account, and accept. The link has shown that they get e-mails.

    Whoever has an account with the address signs in first, and accepts then.
    """
    try:
        with transaction.atomic():
            user = claim(request, invitation.email)
            log_consent(user)
            invitations.accept(token, user)
    except InvalidUser:
        text = _("There is an account with this e-mail address. Sign in to accept.")
        messages.info(request, text)
        return accept_next(request, request.path)
    except NotInvited:
        return ended(request)
    except NoSeat as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(request.path)
    # After it the page leads on into the workspace.
    return complete_signup(request, user=user, redirect_url=request.path)


def claim(request, email: str) -> User:
    """Return the person with this address, confirmed: a new one, or a row that is nobody's.

    Raises InvalidUser if somebody has an account with it.
    """
    if EmailAddress.objects.is_verified(email):
        raise InvalidUser(_("Another user has this e-mail."))
    user = unclaimed(email)
    if user is None:
        user = create_user(new_username(email), email)
        if get_language() != settings.LANGUAGE_CODE:
            user.language = get_language()
            user.save(update_fields=["language"])
    address, _created = EmailAddress.objects.get_or_create(
        {"primary": True}, user=user, email=user.email
    )
    get_adapter().confirm_email(request, address)  # forgets what was set up before
    user.refresh_from_db()
    return user


def welcome(request, tenant: Tenant) -> HttpResponse:
    """Lead on into the workspace. Not a redirect, which Chrome would stop after a form."""
    url = hosts.site_url(tenant.get_primary_domain().domain, "/sign-in/")
    context = {"workspace": tenant, "url": url}
    response = render(request, "tenancy/invitations/welcome.html", context)
    forget_next(request, response)
    return response


def ended(request) -> HttpResponse:
    """Answer the same to a link that was never there: used, revoked, expired or lapsed."""
    return render(request, "tenancy/invitations/ended.html", status=404)
