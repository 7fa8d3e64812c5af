from django.db import connection
from django.test import Client


def sign_in(client: Client, user) -> None:
    """Sign the person in at the client's host."""
    client.force_login(user)


class TenantClient(Client):
    """A client for one tenant's host. Its requests don't change the test's current tenant."""

    def __init__(self, tenant, user=None):
        super().__init__(SERVER_NAME=tenant.get_primary_domain().domain)
        if user:
            with tenant:
                sign_in(self, user)

    def request(self, **request):
        before = connection.tenant, connection.include_public_schema
        try:
            return super().request(**request)
        finally:
            connection.set_tenant_unchecked(*before)
