"""Signatures that are valid only in the tenant that made them.

Django's own `signing.dumps` and `signing.loads` ignore tenants: all accept what one signs. Signed
cookies use this module (`settings.SIGNING_BACKEND`).
"""

from django.core.signing import JSONSerializer, TimestampSigner
from django.db import connection

SALT = "tenancy.isolation.signing"


class TenantSigner(TimestampSigner):
    """A TimestampSigner whose salt contains the current tenant's schema at each use."""

    @property
    def salt(self):
        return f"{connection.schema_name}:{self.own_salt}"

    @salt.setter
    def salt(self, salt):
        self.own_salt = salt


def dumps(obj, key=None, salt=SALT, serializer=JSONSerializer, compress=False) -> str:
    """Like `django.core.signing.dumps`, for the current tenant only."""
    signer = TenantSigner(key=key, salt=salt)
    return signer.sign_object(obj, serializer=serializer, compress=compress)


def loads(s, key=None, salt=SALT, serializer=JSONSerializer, max_age=None, fallback_keys=None):
    """Like `django.core.signing.loads`; also raises BadSignature if another tenant signed it."""
    signer = TenantSigner(key=key, salt=salt, fallback_keys=fallback_keys)
    return signer.unsign_object(s, serializer=serializer, max_age=max_age)
