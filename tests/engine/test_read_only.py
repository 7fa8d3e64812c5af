"""A block in which PostgreSQL refuses every write: in autocommit, in transactions, and no longer.

These tests commit, and undo what they write.
"""

import pytest
from django.core.signals import request_finished
from django.db import InternalError, connection, transaction
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy.database.read_only import read_only
from tenancy.limits import limit

from engine.statements import record

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture(autouse=True)
def tenant(committed_db):
    tenant = Tenant.objects.get(slug="first")
    tenant.activate()
    yield tenant
    with tenant:
        Note.objects.all().delete()


def write():
    Note.objects.create(text="written", author_id=1)


def write_as_we_like():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE never ()")


def write_in_another_schema():
    with Tenant.objects.get(slug="other"):
        write()


def write_in_a_transaction():
    with transaction.atomic():
        Note.objects.count()
        with transaction.atomic():
            write()


def write_over_a_new_connection():
    Note.objects.count()
    connection.close()
    write()


def write_over_another_connection():
    with transaction.atomic():  # so that the limit takes one of its own
        limit("test", "key", "1/1m")


@pytest.mark.parametrize(
    "write",
    [
        write,
        write_as_we_like,
        write_in_another_schema,
        write_in_a_transaction,
        write_over_a_new_connection,
        write_over_another_connection,
    ],
)
def test_every_write_is_refused(write):
    with read_only():
        with pytest.raises(InternalError, match="read-only transaction"):
            write()
        assert not Note.objects.exists()


def test_it_ends_with_the_block_whatever_has_happened():
    for _ in range(2):
        with pytest.raises(InternalError), read_only():
            write()
        write()
        with transaction.atomic():
            write()
    assert Note.objects.count() == 4


def test_a_request_that_was_interrupted_leaves_nothing_to_the_next(tenant):
    block = read_only()  # which is never left
    block.__enter__()
    Note.objects.count()
    request_finished.send(sender=None)
    with tenant:
        write()


def test_in_a_transaction_it_ends_with_the_block_too():
    with transaction.atomic():
        write()
        with pytest.raises(InternalError), read_only():
            write()
        write()
    assert Note.objects.count() == 2


def test_it_costs_a_statement_when_it_begins_and_one_when_it_has_ended():
    connection.ensure_connection()
    before = connection.connection.cursor_factory
    seen = record()
    with read_only():
        for _ in range(3):
            Note.objects.count()
    for _ in range(3):
        Note.objects.count()
    connection.connection.cursor_factory = before
    assert sum("read_only" in statement for statement in seen) == 2


def test_a_connection_that_was_read_only_can_still_be_worn():
    with read_only():
        Note.objects.count()
    Note.objects.count()
    assert not connection._keeps_something()
