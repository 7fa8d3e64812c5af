"""Checks of the tasks. A worker doesn't start with a task of a wrong class."""

from collections.abc import Iterator

from celery import current_app
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django_tenants.routers import TenantSyncRouter

from tenancy.background.task import TenantTask
from tenancy.health.lazy import register

LOSES_TASKS = ("filesystem:", "memory:")
REDIS = ("redis", "rediss", "valkey", "sentinel")
PREFIX = "global_keyprefix"


@register("background")
def check_classes(**kwargs) -> Iterator[CheckMessage]:
    for name, task in sorted(all_tasks().items()):
        if not isinstance(task, TenantTask):
            yield Error(
                f"{name} isn't a TenantTask: it would always run in public.",
                hint="Remove “base”, or let it extend tenancy.background.task.TenantTask.",
                id="background.E001",
            )


@register("background")
def check_schedule(**kwargs) -> Iterator[CheckMessage]:
    tasks = all_tasks()
    for entry, schedule in getattr(settings, "CELERY_BEAT_SCHEDULE", {}).items():
        if not getattr(tasks.get(schedule["task"]), "public", False):
            yield Error(
                f"CELERY_BEAT_SCHEDULE: “{entry}” needs a public task, because beat has no tenant.",
                hint="Let tenancy.background.tasks.in_each_tenant send the task.",
                id="background.E002",
            )


@register("background", deploy=True)
def check_broker(**kwargs) -> Iterator[CheckMessage]:
    if settings.CELERY_BROKER_URL.startswith(LOSES_TASKS):
        yield Error(
            "CELERY_BROKER_URL is for development: a killed worker loses its tasks.",
            hint="Set it to a Redis, such as redis://localhost:6379/0.",
            id="background.E003",
        )


@register("background")
def check_time_limits(**kwargs) -> Iterator[CheckMessage]:
    """A Redis that takes a connection and says nothing would stop the process."""
    options = getattr(settings, "CELERY_BROKER_TRANSPORT_OPTIONS", {})
    set_ = {name: options.get(name) for name in ("socket_connect_timeout", "socket_timeout")}
    if not settings.CELERY_BROKER_URL.startswith(("redis:", "rediss:")) or all(set_.values()):
        return
    yield Warning(
        "CELERY_BROKER_TRANSPORT_OPTIONS has no time limits.",
        hint="Set socket_connect_timeout to 2 and socket_timeout to 5, in seconds.",
        id="background.W004",
    )


@register("background")
def check_beat(**kwargs) -> Iterator[CheckMessage]:
    if apps.is_installed("django_celery_beat") and not is_in_public("django_celery_beat"):
        yield Error(
            "SHARED_APPS lacks django_celery_beat: beat has no tenant, and would find no tables.",
            hint="Move it from TENANT_APPS to SHARED_APPS.",
            id="background.E006",
        )


def is_in_public(label: str) -> bool:
    return TenantSyncRouter().app_in_list(label, settings.SHARED_APPS)


@register("background")
def check_prefix(**kwargs) -> Iterator[CheckMessage]:
    """Two projects on one Redis would take each other's tasks, and results."""
    for url, options in (
        ("CELERY_BROKER_URL", "CELERY_BROKER_TRANSPORT_OPTIONS"),
        ("CELERY_RESULT_BACKEND", "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS"),
    ):
        scheme = (getattr(settings, url, None) or "").partition(":")[0].partition("+")[0]
        if scheme in REDIS and not getattr(settings, options, {}).get(PREFIX):
            yield Warning(
                f"{options} has no {PREFIX}: another project on this Redis shares its keys.",
                hint=f'Once the queue is empty, add "{PREFIX}": "<name of the project>:".',
                id="background.W005",
            )


def all_tasks() -> dict:
    current_app.autodiscover_tasks(settings.INSTALLED_APPS, force=True)
    return current_app.tasks
