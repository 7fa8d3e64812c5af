"""Signatures that hold in the tenant that made them, and in no other.

Django's own `signing.dumps` and `signing.loads` know no tenants: what one signs, all accept. Signed
cookies come through here by themselves (`settings.SIGNING_BACKEND`).
"""

from django.core.signing import JSONSerializer, TimestampSigner
from django.db import connection

SALT = "tenancy.isolation.signing"


class TenantSigner(TimestampSigner):
    """A TimestampSigner with the current tenant's schema in its salt, read at every use."""

    @property
    def salt(self):
        return f"{connection.schema_name}:{self.own_salt}"

    @salt.setter
    def salt(self, salt):
        self.own_salt = salt


def dumps(obj, key=None, salt=SALT, serializer=JSONSerializer, compress=False) -> str:
    """Like `django.core.signing.dumps`; what comes out is good in the current tenant only."""
    signer = TenantSigner(key=key, salt=salt)
    return signer.sign_object(obj, serializer=serializer, compress=compress)


def loads(s, key=None, salt=SALT, serializer=JSONSerializer, max_age=None, fallback_keys=None):
    """Like `django.core.signing.loads`: raises BadSignature for what another tenant signed too."""
    signer = TenantSigner(key=key, salt=salt, fallback_keys=fallback_keys)
    return signer.unsign_object(s, serializer=serializer, max_age=max_age)
