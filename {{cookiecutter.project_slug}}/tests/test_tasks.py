"""Background tasks: a worker runs them in the tenant that sent them."""

from celery import shared_task
from django.conf import settings
from django.db import connection

from server.celery import app


@shared_task
def current_schema():
    return connection.schema_name


def test_a_task_runs_in_the_tenant_that_sent_it(tenant, other_tenant):
    with other_tenant:
        assert current_schema.apply().get() == other_tenant.schema_name
    assert current_schema.apply().get() == tenant.schema_name


def test_every_scheduled_task_exists():
    app.loader.import_default_modules()
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in app.tasks
        assert entry.get("kwargs", {}).get("task", entry["task"]) in app.tasks
