"""What `manage.py check` finds of tasks; a worker doesn't start where a class is wrong."""

from collections.abc import Iterator

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from tenancy.background.task import TenantTask

LOSES_TASKS = ("filesystem:", "memory:")


@register("background")
def check_classes(**kwargs) -> Iterator[CheckMessage]:
    for name, task in sorted(all_tasks().items()):
        if not isinstance(task, TenantTask):
            yield Error(
                f"{name} isn't a TenantTask: it would run in public, whoever sent it.",
                hint="Leave out “base”, or let it extend tenancy.background.task.TenantTask.",
                id="background.E001",
            )


@register("background")
def check_schedule(**kwargs) -> Iterator[CheckMessage]:
    tasks = all_tasks()
    for entry, what in getattr(settings, "CELERY_BEAT_SCHEDULE", {}).items():
        if not getattr(tasks.get(what["task"]), "public", False):
            yield Error(
                f"CELERY_BEAT_SCHEDULE: “{entry}” names no public task, and beat is in no tenant.",
                hint="Have tenancy.background.tasks.in_each_tenant send it.",
                id="background.E002",
            )


@register("background", deploy=True)
def check_broker(**kwargs) -> Iterator[CheckMessage]:
    if settings.CELERY_BROKER_URL.startswith(LOSES_TASKS):
        yield Error(
            "CELERY_BROKER_URL is one for development: a worker that is killed loses its tasks.",
            hint="Set it to a Redis, such as redis://localhost:6379/0.",
            id="background.E003",
        )


def all_tasks() -> dict:
    current_app.autodiscover_tasks(settings.INSTALLED_APPS, force=True)
    return current_app.tasks
