"""A Celery app as each project has it, the task that is measured, and one who sends and waits."""

import os
import time

from celery import Celery
from django.apps import apps
from django.conf import settings

BROKER = os.environ.get("CELERY_BROKER_URL")
QUEUE = "measured"
# What our settings say and Celery's default doesn't.
OURS = {
    "CELERY_DB_REUSE_MAX": 10**9,
    # Two projects can share a Redis; a tenth of the main process' time.
    "broker_transport_options": {"global_keyprefix": "plain:"},
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_soft_time_limit": 540,
    "task_time_limit": 600,
}

if "tenancy" in settings.INSTALLED_APPS:
    from server.celery import app
elif hasattr(settings, "TENANT_MODEL"):
    from tenant_schemas_celery.app import CeleryApp

    app = CeleryApp("theirs", broker=BROKER)
else:
    app = Celery("plain", broker=BROKER)
    app.conf.update(OURS)


@app.task(name="measured", ignore_result=True)
def measured():
    str(apps.get_model("notes.Note").objects.first())


def run_tasks(count, schema):
    """Send the tasks, and let the worker, which waits, begin; return the tasks per second."""
    from worker import inside

    while not app.control.ping(timeout=0.5):
        pass
    client = app.connection_for_read().default_channel.client  # knows the prefix of our keys
    with inside(schema):
        for _ in range(count):
            measured.apply_async(queue=QUEUE)
    if (waiting := client.llen(QUEUE)) != count:
        raise RuntimeError(f"Of {count} tasks, {waiting} wait.")
    app.control.add_consumer(QUEUE)
    while client.llen(QUEUE) == count:  # for up to a second the worker waits for other queues
        time.sleep(0.001)
    started = time.perf_counter()
    while client.llen(QUEUE) or client.hlen("unacked"):
        time.sleep(0.005)
    seconds = time.perf_counter() - started
    app.control.cancel_consumer(QUEUE, reply=True)
    return count / seconds
