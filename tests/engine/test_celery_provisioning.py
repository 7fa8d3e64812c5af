"""Tenants made by real workers, also by one that follows another that was killed."""

import time
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.background.tasks import make_tenant, resume_unfinished
from tenancy.models import Blueprint, TenantEvent
from tenancy.schemas import blueprint

from engine.copies import cleaned_up, execute
from engine.processes import stop_before
from engine.workers import PATIENCE, Workers, closed_database, need_redis

ARGUMENTS = "Later", "later", "Later", "admin"
Status = Tenant.Status


@pytest.fixture(scope="module")
def workers(tmp_path_factory, django_db_setup, django_db_blocker):
    need_redis()
    with django_db_blocker.unblock():
        workers = Workers(tmp_path_factory.mktemp("redis"))
    yield workers
    workers.close()


@contextmanager
def working(workers):
    worker = workers.ready("--concurrency", "1")
    try:
        yield worker
    finally:
        worker.kill()


@pytest.fixture(scope="module")
def worker(workers):
    """Not for the first three tests, which have workers of their own."""
    with working(workers) as worker:
        yield worker


@pytest.fixture(autouse=True)
def _nothing_is_left(committed_db, settings):
    settings.PROVISION_IN_BACKGROUND = True
    with cleaned_up():
        yield


def wait_until(is_so):
    """For what is seen in the database alone."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def expect_one(requested_by="admin"):
    wait_until(lambda: Tenant.objects.filter(slug="later", status=Status.ACTIVE).exists())
    moves = TenantEvent.objects.filter(slug="later", action="provision")
    assert moves.get().by == requested_by


def test_a_worker_that_is_killed_in_the_middle_is_followed_by_another(workers):
    lifecycle.request_tenant(*ARGUMENTS)
    with transaction.atomic():
        execute("LOCK TABLE tenancy_tenantevent IN EXCLUSIVE MODE")
        with working(workers):
            wait_until(waiting_for_the_lock)
    assert not Tenant.objects.filter(slug="later").exists()

    with working(workers):
        expect_one()


def test_a_database_that_goes_away_in_the_middle_loses_nothing(workers):
    lifecycle.request_tenant(*ARGUMENTS)
    with ExitStack() as stack:
        with transaction.atomic():
            execute("LOCK TABLE tenancy_tenantevent IN EXCLUSIVE MODE")
            worker = stack.enter_context(working(workers))
            wait_until(waiting_for_the_lock)
            with closed_database():
                worker.said("retry: Retry in ")
        expect_one()


def waiting_for_the_lock():
    return execute(
        "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'tenancy_tenantevent'::regclass"
    )


def test_the_migrations_that_run_are_shown(workers):
    fresh = workers.ready("--concurrency", "1")  # another has read the blueprint
    Blueprint.objects.all().delete()
    try:
        lifecycle.request_tenant(*ARGUMENTS)
        seen = set()

        def is_made():
            tenant = Tenant.all_objects.get(slug="later")
            seen.add(tenant.progress)
            return tenant.status == Status.ACTIVE

        wait_until(is_made)
    finally:
        fresh.kill()
        blueprint.load.cache_clear()
        blueprint.refresh()
    assert any("Applying " in message for message in seen)


def test_a_requested_tenant_is_made_by_a_worker(workers, worker):
    tenant = lifecycle.request_tenant(*ARGUMENTS)

    assert tenant.status == Status.PROVISIONING
    expect_one()


def test_what_is_asked_for_twice_is_made_once(workers, worker):
    lifecycle.request_tenant(*ARGUMENTS)
    tenant = lifecycle.request_tenant(*ARGUMENTS)
    expect_one()

    once_more = make_tenant.delay(tenant.pk, "again")
    worker.said(f"[{once_more.id}] succeeded")
    expect_one()


def test_what_fails_is_shown_and_tried_again(workers, worker):
    execute("ALTER TABLE tenancy_tenantevent ADD CONSTRAINT broken CHECK (slug <> 'later')")
    try:
        lifecycle.request_tenant(*ARGUMENTS)
        wait_until(lambda: "It failed and will be" in Tenant.all_objects.get(slug="later").progress)
    finally:
        execute("ALTER TABLE tenancy_tenantevent DROP CONSTRAINT broken")
    expect_one()


def test_what_was_left_for_a_while_is_resumed(workers, worker, settings):
    process = stop_before("provisioning.activate", f"provision_tenant{ARGUMENTS!r}")
    process.kill()
    process.communicate()
    left = Tenant.all_objects.filter(slug="later")
    resume_unfinished.delay().get(timeout=PATIENCE)
    assert left.get().status == Status.PROVISIONING

    left.update(created=timezone.now() - timedelta(minutes=11))
    left.update(origin="clone of first")
    resume_unfinished.delay().get(timeout=PATIENCE)
    assert left.get().status == Status.PROVISIONING

    left.update(origin="")
    resume_unfinished.delay()
    expect_one("beat")


def test_without_a_broker_it_stays_reserved(workers, settings, caplog):
    workers.redis.kill()
    try:
        tenant = lifecycle.request_tenant(*ARGUMENTS)
    finally:
        workers.open()

    assert tenant.status == Status.PROVISIONING
    assert "Error 111" in caplog.text or "Connection refused" in caplog.text
