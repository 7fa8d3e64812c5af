"""A passkey in software, for tests without a browser."""

import json
import secrets
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
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


class Passkey:
    """What a device answers to a page of `origin`, whose person it has verified."""

    def __init__(self, origin="http://localhost", *, verifies=True):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(16)
        self.origin = origin
        self.flags = FLAG.UP | FLAG.UV if verifies else FLAG.UP
        self.user = None

    def register(self, options):
        """Return a new credential, as JSON."""
        options = options["publicKey"]
        self.user = options["user"]["id"]
        public_key = ES256.from_cryptography_key(self.key.public_key())
        credential = AttestedCredentialData.create(Aaguid.NONE, self.id, public_key)
        data = self.data(options["rp"]["id"], self.flags | FLAG.AT, credential)
        attestation = AttestationObject.create("none", data, {})
        client = CollectedClientData.create(
            CollectedClientData.TYPE.CREATE, options["challenge"], self.origin
        )
        return self.answer(client, attestationObject=attestation)

    def sign(self, options):
        """Return a proof that the credential is here, as JSON."""
        options = options["publicKey"]
        data = self.data(options["rpId"], self.flags)
        client = CollectedClientData.create(
            CollectedClientData.TYPE.GET, options["challenge"], self.origin
        )
        signature = self.key.sign(data + client.hash, ec.ECDSA(SHA256()))
        return self.answer(client, authenticatorData=data, signature=signature)

    def data(self, host, flags, credential=b""):
        return AuthenticatorData.create(sha256(host.encode()).digest(), flags, 0, credential)

    def answer(self, client, **response):
        encoded = {name: websafe_encode(value) for name, value in response.items()}
        credential = {
            "id": websafe_encode(self.id),
            "rawId": websafe_encode(self.id),
            "type": "public-key",
            "response": {"clientDataJSON": websafe_encode(client), "userHandle": self.user}
            | encoded,
            "clientExtensionResults": {"credProps": {"rk": True}},
        }
        return json.dumps(credential)
