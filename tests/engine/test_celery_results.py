"""Results that are kept in the database are where the sender of the task looks for them."""

import uuid

import pytest
from celery import states
from celery.app.trace import build_tracer
from celery.result import AsyncResult
from django.db import connection
from server.celery import app
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.background.messages import HEADER
from tenancy.exceptions import TenantGone, TenantNotActive

from engine.copies import cleaned_up, get, provision
from engine.tasks import fail, where, where_public
from engine.workers import use


@pytest.fixture(params=["django-db", "django-cache"])
def sender(request, committed_db):
    """A tenant, with a backend that keeps results in its tables, or under its keys in the cache."""
    before = use(result_backend=request.param)
    with cleaned_up():
        yield provision("sender")
    use(**before)
    connection.close()


def run(task, tenant) -> str:
    """Run the task as a worker does that got a message from the tenant; return its id."""
    key = str(uuid.uuid4())
    request = {"id": key, "task": task.name, "headers": {HEADER: tenant.schema_name}}
    build_tracer(task.name, task, app=app)(key, (), {}, request)
    assert connection.schema_name == "public"
    return key


def test_a_result_is_where_the_task_was_sent(sender):
    """R12: also that of a public task."""
    keys = run(where, sender), run(where_public, sender), run(fail, sender)

    with sender:
        own, public, failed = map(AsyncResult, keys)
        assert own.result == sender.schema_name
        assert public.result == "public"  # get() would wait for what isn't there
        assert failed.state == states.FAILURE
    with Tenant.objects.get(slug="first"):
        assert {AsyncResult(key).state for key in keys} == {states.PENDING}


@pytest.mark.parametrize("change", [lifecycle.suspend, lifecycle.delete])
def test_the_failure_of_a_tenant_that_cannot_be_entered_is_there(sender, change, caplog):
    """R12: a tenant that was suspended or deleted after sending."""
    change(sender, "test")

    key = run(where, sender)

    connection.set_tenant_unchecked(sender, include_public=True)
    assert isinstance(AsyncResult(key).result, TenantNotActive)
    connection.set_schema_to_public()
    assert len(caplog.records) < 3


def test_the_failure_of_a_renamed_tenant_is_under_its_new_name(sender, request):
    """R12: the tables went along."""
    sent_in = lifecycle.suspend(sender, "test")
    lifecycle.rename_schema(get("sender"), "test")
    lifecycle.rename_schema(get("sender"), "test")

    key = run(where, sent_in)

    if "django-db" in request.node.name:
        connection.set_tenant_unchecked(get("sender"), include_public=True)
        assert isinstance(AsyncResult(key).result, TenantGone)
        connection.set_schema_to_public()


def test_the_failure_of_a_purged_tenant_is_a_line(sender, caplog, request):
    """R12: there is no table to keep it."""
    lifecycle.purge(lifecycle.delete(sender, "test"), "test", now=True)

    run(where, sender)

    if "django-db" in request.node.name:
        assert "The result of engine.tasks.where is lost" in caplog.text
        assert len(caplog.records) < 4
