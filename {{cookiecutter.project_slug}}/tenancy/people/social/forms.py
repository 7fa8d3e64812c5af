"""The forms about providers (SOCIALACCOUNT_FORMS)."""

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.models import EmailAddress
from allauth.socialaccount.forms import DisconnectForm as LibrarysDisconnectForm
from allauth.socialaccount.forms import SignupForm
from allauth.socialaccount.models import SocialApp
from django import forms
from django.db import IntegrityError, transaction
from django.shortcuts import redirect

from tenancy.people.account.forms import AsksForConsent
from tenancy.people.account.receivers import keep_session
from tenancy.people.accounts import unclaimed
from tenancy.people.social.adapter import vouched_for


class ProviderSignUpForm(AsksForConsent, SignupForm):
    """Asks for consent, and for an address if the provider has confirmed none.

    Such an address is confirmed by a code. A confirmed one may be that of a row that is nobody's,
    because nobody has ever confirmed it: the person takes the row over.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.vouched_for = vouched_for(self.sociallogin)
        if self.vouched_for:
            del self.fields["email"]

    def clean(self):
        super().clean()
        if self.vouched_for:
            self.cleaned_data["email"] = self.vouched_for
        return self.cleaned_data

    def try_save(self, request):
        try:
            return super().try_save(request)
        except IntegrityError:  # of two forms of the same person, the other was sent first
            return None, redirect("account_login")

    @transaction.atomic
    def save(self, request):
        user = unclaimed(self.vouched_for) if self.vouched_for else None
        if user is None:
            self.sociallogin.user.is_verified = bool(self.vouched_for)
            return super().save(request)
        own = {"user": user, "email": user.email}
        address, _ = EmailAddress.objects.get_or_create({"primary": True}, **own)
        get_account_adapter().confirm_email(request, address)  # forgets what was set up before
        user.refresh_from_db()
        self.sociallogin.user = user
        self.sociallogin.save(request, connect=True)
        self.custom_signup(request, user)
        return user


class DisconnectForm(LibrarysDisconnectForm):
    """Removes any connection, and ends the person's other sessions: another person may have opened
    them by it.

    The library keeps the last one of a person without a password, who can sign in by a code here.
    """

    def clean(self):
        return forms.Form.clean(self)

    def save(self):
        connection = self.cleaned_data["account"]
        try:
            connection.get_provider()
        except SocialApp.DoesNotExist:  # its keys are no longer in `.env`
            connection.delete()
        else:
            super().save()
        user = connection.user
        user.session_epoch += 1
        user.save(update_fields=["session_epoch"])
        keep_session(self.request, user)
