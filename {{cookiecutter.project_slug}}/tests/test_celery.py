from celery import shared_task
from django.db import connection

from server.celery import app


@shared_task
def current_schema():
    return connection.schema_name


def test_a_task_runs_in_the_tenant_that_called_it(tenant, other_tenant):
    assert current_schema.apply().get() == tenant.schema_name
    with other_tenant:
        assert current_schema.apply().get() == other_tenant.schema_name


def test_shared_tasks_belong_to_the_project(tenant):
    assert current_schema.app is app
