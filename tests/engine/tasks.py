"""Tasks for the tests' workers. What they tell is read by `Workers.told`."""

import contextlib
import logging
import os
import signal

import redis
from celery import current_app, shared_task
from celery.exceptions import Reject, SoftTimeLimitExceeded
from celery.signals import task_failure, task_prerun
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy.background.task import TenantTask


def broker():
    return redis.Redis.from_url(current_app.conf.broker_url, socket_timeout=None)


def tell(key, text):
    broker().rpush(key, text)


def backend_pid():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


@shared_task
def where(*ignored):
    return connection.schema_name


@shared_task(public=True)
def where_public(*ignored):
    return connection.schema_name


@shared_task
def where_the_database_is():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema")
        return cursor.fetchone()[0]


@shared_task
def tell_where(key):
    tell(key, connection.schema_name)


@shared_task
def tell_where_it_failed(request, exc, traceback, key):
    tell(key, connection.schema_name)


@shared_task
def fail():
    raise ValueError("on purpose")


@shared_task(public=True)
def fail_in_public():
    raise ValueError("on purpose")


@shared_task
def call_directly():
    return where()


@shared_task
def log(text):
    logging.getLogger("server.notes").warning(text)


@shared_task(bind=True, max_retries=3, default_retry_delay=0)
def where_after_retries(self, times):
    if self.request.retries < times:
        raise self.retry()
    return connection.schema_name


@shared_task(bind=True, max_retries=None, default_retry_delay=0)
def write(self, text, failures=0):
    """Write a note, after so many failures, each with a transaction that is rolled back."""
    with contextlib.suppress(ValueError), transaction.atomic():
        author = get_user_model().objects.get(username="admin")
        Note.objects.create(text=text, author=author)
        if self.request.retries < failures:
            raise ValueError("on purpose")
        return
    raise self.retry()


@shared_task(max_retries=2, default_retry_delay=0)
def kill_its_process(key):
    tell(key, connection.schema_name)
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(default_retry_delay=0)
def wait(started, go):
    """Tell the tenant, the process and its connection; end when something is put into `go`."""
    tell(started, f"{connection.schema_name} {os.getpid()} {backend_pid()}")
    client = broker()
    client.rpush(go, client.blpop(go)[1])  # it stays there, for who comes after


wait_once = shared_task(name="engine.tasks.wait_once", acks_late=False)(wait.run)


@shared_task
def tell_twice(key, number):
    tell(key, connection.schema_name)


@shared_task(public=True)
def tell_twice_in_public(key, number):
    tell(key, connection.schema_name)


class RaisesOnceMore(TenantTask):
    def on_failure(self, exc, task_id, args, kwargs, einfo):
        tell(*args, connection.schema_name)
        raise RuntimeError("the mail server is away")


@shared_task(base=RaisesOnceMore)
def fail_twice(key):
    raise ValueError("on purpose")


@shared_task
def begin(key):
    """What is told of it is told before."""


@task_prerun.connect
def tell_of_beginning(task, args, **kwargs):
    if task.name == begin.name:
        tell(*args, connection.schema_name)


@shared_task(bind=True, default_retry_delay=0)
def where_after_a_retry_from(self, slug):
    if self.request.retries:
        return connection.schema_name
    with Tenant.objects.get(slug=slug):
        raise self.retry(headers={"own": 1})


class TellsOfFailure(TenantTask):
    def on_failure(self, exc, task_id, args, kwargs, einfo):
        tell(f"{args[0]} hook", connection.schema_name)


@shared_task(base=TellsOfFailure, soft_time_limit=1, time_limit=2)
def wait_too_long(*keys):
    with contextlib.suppress(SoftTimeLimitExceeded):
        wait.run(*keys)
    wait.run(*keys)


@shared_task
def wait_and_fail(*keys):
    wait.run(*keys)
    raise ValueError("on purpose")


@shared_task
def reject(key):
    raise Reject("on purpose", requeue=False)


@task_failure.connect
def tell_of_failure(sender, args, **kwargs):
    if sender.name in (wait_once.name, wait_too_long.name, reject.name):
        tell(f"{args[0]} signal", connection.schema_name)
