"""Second factors for the proof: without them many pages of an account answer nothing."""

from hashlib import sha256

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import settings
from django.db import connection
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

FLAG = AuthenticatorData.FLAG
KEY = ES256({1: 2, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)})  # signs nothing


def passkey(canary: str) -> Authenticator:
    """Return a passkey of the current tenant's owner, who gets the other factors with the first."""
    owner = connection.tenant.owner
    if not Authenticator.objects.filter(user=owner).exists():
        TOTP.activate(owner, generate_totp_secret())
        RecoveryCodes.activate(owner)
    data = {"name": canary, "credential": credential(canary.encode())}
    return Authenticator(user=owner, type=Authenticator.Type.WEBAUTHN, data=data)


def credential(id_: bytes) -> dict:
    """Return what a browser tells of a new passkey with this id."""
    client = CollectedClientData.create(
        CollectedClientData.TYPE.CREATE, bytes(32), f"https://{settings.DOMAIN}"
    )
    data = AuthenticatorData.create(
        sha256(settings.DOMAIN.encode()).digest(),
        FLAG.UP | FLAG.UV | FLAG.AT,
        0,
        AttestedCredentialData.create(Aaguid.NONE, id_, KEY),
    )
    attestation = AttestationObject.create("none", data, {})
    return {
        "id": websafe_encode(id_),
        "rawId": websafe_encode(id_),
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(client),
            "attestationObject": websafe_encode(attestation),
        },
        "clientExtensionResults": {"credProps": {"rk": True}},
    }


def passkeys(member) -> list[dict]:
    """Return arguments for the pages of one passkey."""
    rows = Authenticator.objects.filter(
        user=connection.tenant.owner_id, type=Authenticator.Type.WEBAUTHN
    )
    return [{"pk": row.pk} for row in rows]


FACTORIES = {Authenticator: passkey}
ARGUMENTS = dict.fromkeys(("mfa_edit_webauthn", "mfa_remove_webauthn"), passkeys)
KNOWN = {
    f"POST public:{name}": "It needs what the person's device answers."
    for name in (
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "mfa_authenticate",
        "mfa_login_webauthn",
        "mfa_reauthenticate",
        "mfa_reauthenticate_webauthn",
    )
}
