"""Encryption of secrets at rest, with keys made from SECRET_KEY and SECRET_KEY_FALLBACKS."""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac

__all__ = ["InvalidToken", "decrypt", "encrypt", "renew"]


def encrypt(text: str) -> str:
    return cipher().encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Raises InvalidToken if none of the keys has encrypted it."""
    return cipher().decrypt(token).decode()


def renew(token: str) -> str:
    """Encrypt with the present key what one of them has encrypted. Raises InvalidToken."""
    return cipher().rotate(token).decode()


def cipher() -> MultiFernet:
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(key_from(secret)) for secret in secrets])


def key_from(secret: str) -> bytes:
    made = salted_hmac("tenancy.people.mfa", "", secret=secret, algorithm="sha256")
    return urlsafe_b64encode(made.digest())
