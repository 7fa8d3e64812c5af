"""Code that runs in every tenant, and what becomes of it where it fails."""

import logging
from contextlib import nullcontext, suppress

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.management import CommandError
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import get_tenant_model, tenant_context
from server.notes.models import Note
from server.tenants.models import Domain, Tenant
from tenancy.exceptions import SomeFailed
from tenancy.for_each import each_tenant


def in_every_tenant(work, tenants=None):
    for step in each_tenant(tenants):
        with step as tenant:
            assert connection.schema_name == tenant.schema_name
            work(tenant)


def visited(tenants=None):
    slugs = []
    in_every_tenant(lambda tenant: slugs.append(tenant.slug), tenants)
    return slugs


def suspend(slug):
    Tenant.objects.filter(slug=slug).update(status=Tenant.Status.SUSPENDED)


def test_each_active_tenant_has_its_step(tenant):
    assert visited() == ["first", "other"]
    assert connection.tenant == tenant

    suspend("first")
    assert visited() == ["other"]


@pytest.mark.usefixtures("db")
def test_a_queryset_says_which_and_in_which_order():
    suspend("first")

    assert visited(Tenant.objects.all()) == ["first", "other", "public"]
    assert visited(Tenant.objects.order_by("-slug")) == ["public", "other", "first"]
    assert visited(Tenant.objects.none()) == []
    Domain.objects.create(tenant=Tenant.objects.get(slug="first"), domain="further.localhost")
    assert visited(Tenant.objects.filter(domains__gt=0, slug="first")) == ["first"]


@pytest.mark.usefixtures("db")
def test_the_librarys_loop_meets_those_that_can_be_entered():
    Tenant.objects.filter(slug="other").update(status=Tenant.Status.PROVISIONING)
    found = []
    for tenant in get_tenant_model().objects.all():
        with tenant_context(tenant):
            found.append(connection.schema_name)

    assert found == [Tenant.objects.get(slug="first").schema_name, "public"]
    assert Tenant.all_objects.filter(slug="other").exists()


def test_one_that_fails_stops_no_other(tenant, other_tenant, caplog):
    def work(each):
        Note.objects.create(text=each.slug, author_id=each.owner_id)
        if each == tenant:
            raise ValueError("two\nlines")

    with pytest.raises(SomeFailed) as failure:
        in_every_tenant(work, Tenant.objects.all())

    assert str(failure.value) == (
        "2 of 3 tenants failed."
        "\n  first: ValueError: two"
        '\n  public: ProgrammingError: relation "notes_note" does not exist'
    )
    assert list(failure.value.reasons) == ["first", "public"]
    assert connection.tenant == tenant
    assert not Note.objects.exists()  # inside a transaction, it was taken back
    with other_tenant:
        assert Note.objects.get().text == "other"
    first, _ = caplog.records
    assert first.getMessage() == f"{tenant.schema_name}: ValueError: two"
    assert "Traceback" in logging.Formatter().format(first)


@pytest.mark.usefixtures("db")
def test_what_people_are_told_needs_no_traceback(caplog):
    def refuse(tenant):
        raise CommandError("No.")

    with pytest.raises(SomeFailed):
        in_every_tenant(refuse)

    assert [record.exc_info for record in caplog.records] == [None, None]


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_who_stops_it_stops_it_at_once(error):
    slugs = []

    def stop(tenant):
        slugs.append(tenant.slug)
        raise error

    with pytest.raises(error):
        in_every_tenant(stop)

    assert slugs == ["first"]
    assert connection.schema_name == "public"


@pytest.mark.usefixtures("db")
def test_one_that_was_suspended_meanwhile_is_skipped():
    slugs = []

    def work(tenant):
        slugs.append(tenant.slug)
        suspend("other")

    in_every_tenant(work)
    assert slugs == ["first"]


@pytest.mark.usefixtures("db")
def test_a_tenant_is_read_when_its_step_begins():
    with CaptureQueriesContext(connection) as queries:
        steps = each_tenant()
        next(steps)
        assert len(queries) == 2  # the keys, and the first
        next(steps)
        assert len(queries) == 3


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("is_caught", [False, True])
@pytest.mark.parametrize(
    "sql", ["BEGIN; SELECT 1/0", "BEGIN", "SELECT pg_terminate_backend(pg_backend_pid())"]
)
def test_what_one_breaks_is_whole_for_the_next(sql, is_caught):
    worked = []

    def work(tenant):
        if tenant.slug == "first":
            with suppress(DatabaseError) if is_caught else nullcontext():
                connection.cursor().execute(sql)
        with transaction.atomic(durable=True):
            Session.objects.count()
            worked.append(tenant.slug)

    with suppress(SomeFailed):
        in_every_tenant(work)

    assert "other" in worked
    assert get_user_model().objects.exists()


@pytest.mark.usefixtures("committed_db")
def test_a_transaction_that_is_left_open_is_not_the_next_ones():
    worked = []

    def work(tenant):
        worked.append(connection.in_atomic_block)
        transaction.atomic().__enter__()

    in_every_tenant(work)

    assert worked == [False, False]
    assert get_user_model().objects.exists()


@pytest.mark.usefixtures("db")
def test_a_loop_that_is_left_raises_nothing():
    for step in each_tenant():
        with step:
            raise ValueError
        break
