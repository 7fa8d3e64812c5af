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
from tenancy.testing.isolation.through_replica import prove as prove_through_replica

__all__ = ["Isolation"]


class Isolation:
    """What the fixture `isolation` gives. `requests` is pytest's option `--isolation`."""

    def __init__(self, requests: str):
        self.requests = requests
        self.report = ""  # of the last proof

    def prove(self, **hooks) -> None:
        """Fail unless no tenant reaches another. `hooks` are the fields of Hooks.

        Whatever it writes is undone. Raises IsolationError if a hook names a page that isn't there,
        or if the replica can't be used.
        """
        with override_settings(TENANCY_LIMITS={}):  # the roles may be more than the seats
            if self.requests == "replica":
                proof = prove_through_replica(**hooks)
            else:
                proof = self.undone(Hooks(**hooks))
        self.report = summary(proof)
        if text := verdict(proof):
            raise AssertionError(text)

    def undone(self, hooks: Hooks) -> Proof:
        before = connection.savepoint()
        try:
            proof = Proof(hooks, full=self.requests == "full")
            proof.run()
        finally:
            connection.set_schema_to_public()
            connection.savepoint_rollback(before)
        return proof
