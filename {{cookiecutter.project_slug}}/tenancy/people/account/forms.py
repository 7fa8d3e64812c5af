"""The forms of a person's account on the main website."""

from zoneinfo import available_timezones

from allauth.account.forms import SignupForm
from allauth.account.utils import filter_users_by_email
from django import forms
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from tenancy.concrete import User
from tenancy.people.members import log


class AsksForConsent(forms.Form):
    """The terms, in each form to sign up."""

    terms = forms.BooleanField()

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["terms"].label = _("I accept the terms and the privacy policy.")

    def custom_signup(self, request, user):
        super().custom_signup(request, user)
        log_consent(user)


def log_consent(user: User) -> None:
    log("accept terms", user, user.get_username(), after=settings.TERMS_VERSION)


class SignUpForm(AsksForConsent, SignupForm):
    """Asks for an e-mail address and consent, and for no password.

    Anybody can sign up with another person's address, and would know the password. A person sets
    one once the address is confirmed, or signs in by codes.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields.pop("password1", None)

    def try_save(self, request):
        try:
            with transaction.atomic():
                return super().try_save(request)
        except IntegrityError:
            # Perhaps another sign-up with the address was faster, after this form was checked.
            if not filter_users_by_email(self.cleaned_data["email"]):
                raise
            self.account_already_exists = True
            return super().try_save(request)


class ProfileForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ["name", "language", "time_zone"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        zones = [(zone, zone.replace("_", " ")) for zone in sorted(available_timezones())]
        for name, default, choices in (
            ("language", _("The browser's"), settings.LANGUAGES),
            ("time_zone", _("Default"), zones),
        ):
            self.fields[name] = forms.ChoiceField(
                label=self.fields[name].label, choices=[("", default), *choices], required=False
            )
        self.fields["name"].widget.attrs["autocomplete"] = "name"
        if len(settings.LANGUAGES) == 1:
            del self.fields["language"]


class DeleteForm(forms.Form):
    """Asks for the e-mail address, so that nobody deletes an account by a slip."""

    email = forms.EmailField(label=_("Your e-mail address, to confirm"))

    def __init__(self, user, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_email(self):
        email = self.cleaned_data["email"].lower()
        if email != self.user.email:
            raise forms.ValidationError(_("This is not the e-mail address of your account."))
        return email
