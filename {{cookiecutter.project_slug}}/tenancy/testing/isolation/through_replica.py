"""The isolation proof of what requests read from the replica (`pytest --isolation=replica`).

A replica has only what is committed. So the rows are committed, in copies of the test database,
which are dropped in the end. What a request writes is undone, as in each proof.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from django.db import DEFAULT_DB_ALIAS, Error, connection, connections, transaction
from django.test.utils import override_settings

from tenancy.database import replica
from tenancy.database.replica.standby import FLUSHED, NotAReplica, ask, ask_replica, standby
from tenancy.exceptions import IsolationError, one_line
from tenancy.requests import replica as choice
from tenancy.testing.isolation.explore import Action, Covered
from tenancy.testing.isolation.hooks import Hooks
from tenancy.testing.isolation.observed import Answer, Call
from tenancy.testing.isolation.proof import Proof
from tenancy.testing.isolation.sides import OTHER
from tenancy.testing.isolation.walk import Pattern

PATIENCE = 60  # seconds


class ProofThroughReplica(Proof):
    """It sends what may read from the replica: safe requests to the tenants' hosts."""

    def __init__(self, hooks):
        with transaction.atomic():
            super().__init__(hooks, full=False)
        catch_up()

    def walk(self, pattern: Pattern) -> None:
        if not pattern.is_public:
            super().walk(pattern)

    def methods_of(self, pattern: Pattern) -> list[str]:
        return []

    def find_actions(self, pattern: Pattern, covered: Covered, call: Call, shown: Answer) -> None:
        super().find_actions(pattern, covered, call, shown)
        covered.actions.append(Action("HEAD"))

    @contextmanager
    def other_filled(self) -> Iterator[None]:
        with copied("filled"):
            with transaction.atomic():
                self.world.fill(OTHER)
            catch_up()
            with undone():
                yield

    def compare(self) -> None:
        with undone():
            super().compare()


def prove(**hooks) -> ProofThroughReplica:
    """Return the proof, which has run. Raises IsolationError if the replica can't be used."""
    if replica.alias is None:
        raise IsolationError("Set TEST_REPLICA_URL, which tests/settings.py reads.")
    with (
        mock.patch.object(choice, "is_in_transaction", is_in_transaction_of_a_view),
        override_settings(REPLICA_MAX_LAG=3600),  # nothing more is committed
        copied("proof"),
    ):
        proof = ProofThroughReplica(Hooks(**hooks))
        proof.run()
        if standby.state != "in use":
            raise IsolationError(f"The replica is {standby.state}.")
    return proof


def is_in_transaction_of_a_view() -> bool:
    """Return whether there is another transaction within that of the proof."""
    return bool(connection.savepoint_ids)


@contextmanager
def copied(suffix: str) -> Iterator[None]:
    """Use a copy of the database in the block."""
    creation, before = connection.creation, connection.settings_dict["NAME"]
    use(before)
    creation.clone_test_db(suffix, verbosity=0)
    try:
        use(creation.get_test_db_clone_settings(suffix)["NAME"])
        yield
    finally:
        use(before)
        creation.destroy_test_db(suffix=suffix, verbosity=0)


def use(name: str) -> None:
    """Let the next queries, at both servers, be of the database with this name."""
    for alias in (DEFAULT_DB_ALIAS, replica.alias):
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def catch_up() -> None:
    """Wait until the replica has replayed all that is written now."""
    flushed, _ = ask(DEFAULT_DB_ALIAS, FLUSHED)
    deadline = time.monotonic() + PATIENCE
    reason = "It is late"
    while time.monotonic() < deadline:
        try:
            if ask_replica()[0] >= flushed:
                return
        except NotAReplica as error:
            raise IsolationError(f"TEST_REPLICA_URL: {one_line(error)}.") from None
        except Error as error:  # it hasn't the copy yet
            reason = one_line(error)
            connections[replica.alias].close()
        time.sleep(0.01)
    raise IsolationError(f"TEST_REPLICA_URL: {reason}.")
