"""The isolation proof: a test that walks every URL of the project.

    def test_no_tenant_reaches_another(isolation):
        isolation.prove()

It fills two tenants with rows, sends every kind of request by every kind of person, and fails if
anything of one tenant reaches the other. `docs/isolation.md` says what it proves, and what not.
"""

from django.db import connection
from django.test.utils import override_settings

from tenancy.testing.isolation.hooks import Hooks
from tenancy.testing.isolation.proof import Proof
from tenancy.testing.isolation.report import summary, verdict

__all__ = ["Isolation"]


class Isolation:
    """What the fixture `isolation` gives."""

    def __init__(self, *, full: bool):
        self.full = full
        self.report = ""  # of the last proof

    def prove(self, **hooks) -> None:
        """Fail unless no tenant reaches another. `hooks` are the fields of Hooks.

        Whatever it writes is undone. Raises IsolationError if a hook names a page that isn't there.
        """
        before = connection.savepoint()
        try:
            with override_settings(TENANCY_LIMITS={}):  # the roles may be more than the seats
                proof = Proof(Hooks(**hooks), full=self.full)
                proof.run()
        finally:
            connection.set_schema_to_public()
            connection.savepoint_rollback(before)
        self.report = summary(proof)
        if text := verdict(proof):
            raise AssertionError(text)
