"""What django-allauth asks the project about second factors (MFA_ADAPTER)."""

import base64
import logging
import secrets
from io import BytesIO

import qrcode
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from qrcode.image.svg import SvgPathFillImage

from tenancy.people.mfa import encryption

logger = logging.getLogger(__name__)


class MFAAdapter(DefaultMFAAdapter):
    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": _("The code is wrong, or it was used before."),
    }

    def encrypt(self, text):
        return encryption.encrypt(text)

    def decrypt(self, encrypted_text):
        try:
            return encryption.decrypt(encrypted_text)
        except encryption.InvalidToken:
            logger.error(  # noqa: TRY400 (the trace says no more)
                "A secret was encrypted with a SECRET_KEY that SECRET_KEY_FALLBACKS lacks."
            )
            # With an empty one, or always the same, anybody could make the codes.
            return base64.b32encode(secrets.token_bytes(20)).decode()

    def _get_site_name(self):
        """The name in the authenticator app and in the browser's list of passkeys."""
        return settings.PROJECT_NAME

    def get_public_key_credential_rp_entity(self):
        # Not the host that was asked: a passkey is bound to this name for good.
        return {"id": settings.DOMAIN, "name": settings.PROJECT_NAME}

    def build_totp_svg(self, url):
        # In the page itself, and black on white also where the page is dark.
        image = qrcode.make(url, image_factory=SvgPathFillImage)
        file = BytesIO()
        image.save(file)
        return file.getvalue().decode().partition("?>")[2]

    def generate_authenticator_name(self, user, type):
        count = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return f"{gettext('Passkey')} {count + 1}" if count else gettext("Passkey")
