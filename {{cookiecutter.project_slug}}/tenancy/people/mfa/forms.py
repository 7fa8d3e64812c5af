"""The forms for second factors (MFA_FORMS): django-allauth's, with the engine's rules.

Wrong codes are limited for all processes together, a code is good once, and a passkey answers to
this host alone.
"""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as base
from allauth.mfa.models import Authenticator
from allauth.mfa.totp import forms as totp
from allauth.mfa.webauthn import forms as webauthn
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from fido2.utils import websafe_decode

from tenancy import limits
from tenancy.people.guesses import SECOND_FACTOR, Guess
from tenancy.people.mfa import encryption

USED = "mfa-used"
MALFORMED = (  # what the libraries raise for bytes that no browser sends
    *(ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError),
    *(TypeError, ValueError, struct.error),
)


def refuse_used(user, code: str) -> None:
    """Raise ValidationError for a code of an authenticator app that was used in any process.

    The library remembers it in the cache, which may be one process' own, and not when the app is
    set up.
    """
    steps = 2 * app_settings.TOTP_TOLERANCE + 1
    key = f"{user.pk} {normalize_user_code(code)}"
    if not limits.remember(USED, key, app_settings.TOTP_PERIOD * steps):
        raise get_adapter().validation_error("incorrect_code")


def renew_secrets(user) -> None:
    """Encrypt with the present SECRET_KEY what an earlier one has encrypted."""
    with transaction.atomic():
        for row in Authenticator.objects.select_for_update().filter(user_id=user.pk):
            for name in {"secret", "seed"} & row.data.keys():
                with suppress(encryption.InvalidToken):
                    row.data[name] = encryption.renew(row.data[name])
                    row.save(update_fields=["data"])


class LimitedCode:
    def clean_code(self):
        """Raises RateLimited."""
        guess = Guess(context.request, SECOND_FACTOR, str(self.user.pk))
        try:
            code = super().clean_code()
            refuse_used(self.user, code)
        except ValidationError:
            guess.was_wrong()
            raise
        guess.was_right()
        if settings.SECRET_KEY_FALLBACKS:
            renew_secrets(self.user)
        return code


class AuthenticateForm(LimitedCode, base.AuthenticateForm):
    pass


class ReauthenticateForm(LimitedCode, base.ReauthenticateForm):
    pass


class ActivateTOTPForm(totp.ActivateTOTPForm):
    def clean_code(self):
        code = super().clean_code()
        refuse_used(self.user, code)
        return code


@contextmanager
def one_refusal() -> Iterator[None]:
    """Say the same for a wrong passkey, and for what no browser sends."""
    try:
        yield
    except (ValidationError, *MALFORMED):
        raise ValidationError(_("This passkey was not accepted. Try again.")) from None


class Passkey:
    @one_refusal()
    def clean_credential(self):
        """Refuse the answer to a page of another host.

        A browser lets the pages of each host below DOMAIN ask for the passkeys of DOMAIN, and so
        those of workspaces, and the library accepts it. Else they could sign in as their visitors.
        """
        credential = self.cleaned_data["credential"]
        client = json.loads(websafe_decode(credential["response"]["clientDataJSON"]))
        request = context.request
        if client["origin"] != f"{request.scheme}://{request.get_host()}":
            raise ValueError(client["origin"])
        clean = getattr(super(), "clean_credential", None)
        return clean() if clean else credential

    @one_refusal()
    def clean(self):
        return super().clean()


class AddPasskeyForm(Passkey, webauthn.AddWebAuthnForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "passwordless" in self.fields:
            self.fields["passwordless"].initial = True


class AuthenticateByPasskeyForm(Passkey, webauthn.AuthenticateWebAuthnForm):
    pass


class SignInByPasskeyForm(Passkey, webauthn.LoginWebAuthnForm):
    pass


class ReauthenticateByPasskeyForm(Passkey, webauthn.ReauthenticateWebAuthnForm):
    pass
