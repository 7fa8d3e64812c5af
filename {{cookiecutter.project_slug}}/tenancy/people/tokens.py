from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import connection


class TenantTokenGenerator(PasswordResetTokenGenerator):
    """Makes tokens that hold in the tenant that made them, and in no other."""

    @property
    def key_salt(self):
        return f"{connection.schema_name}:{super().key_salt}"


token_generator = TenantTokenGenerator()
