import time

from django.db import connection
from django.test import Client

from tenancy.people.confirmation import KEY, Confirmation
from tenancy.requests import seen


def sign_in(
    client: Client, user, *, confirmed: bool = True, confirmed_at: float | None = None
) -> None:
    """Sign the person in at the client's host, as if they had confirmed just now that it is them.

    `confirmed_at` is another time for that, in seconds since 1970. Without `confirmed`, a view with
    `@confirmed` sends them to do it.
    """
    client.force_login(user)
    session = client.session
    session[seen.KEY] = time.time()  # so that the first page costs no more than the next
    if confirmed:
        session[KEY] = Confirmation(confirmed_at or time.time(), "password")
    session.save()


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
