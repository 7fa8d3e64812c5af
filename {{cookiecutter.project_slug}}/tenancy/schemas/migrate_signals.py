"""Send `pre_migrate` and `post_migrate` to Django's receivers or to all others.

Django's own write content types and permissions, which a dump of a schema has already.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.apps import AppConfig, apps
from django.core.management.base import OutputWrapper
from django.db.migrations.state import ModelState, ProjectState, StateApps
from django.dispatch import Signal
from django_tenants.migration_executors.base import run_migrations
from django_tenants.signals import schema_migrate_message

Receiver = Callable[..., object]


def is_django_receiver(receiver: Receiver) -> bool:
    return receiver.__module__.partition(".")[0] == "django"


def is_custom_receiver(receiver: Receiver) -> bool:
    return not is_django_receiver(receiver)


def has_custom_receivers(*signals: Signal) -> bool:
    """Return whether any of Django's or django-tenants' migrate signals has custom receivers."""
    return any(
        is_custom_receiver(receiver)
        for signal in signals
        for sender in [run_migrations, *senders()]
        for receiver in receivers(signal, sender)
    )


def send_migrate_signal(
    signal: Signal,
    to: Callable[[Receiver], bool],
    *,
    using: str,
    configs: Iterable[AppConfig] | None = None,
    **arguments,
) -> None:
    """Send the signal as Django's `migrate` does, but only to receivers for which `to` is true.

    `configs` are the apps to send it for, by default all. `arguments` are Django's `apps` and
    `plan`.
    """
    for config in senders() if configs is None else configs:
        for receiver in filter(to, receivers(signal, config)):
            call = async_to_sync(receiver) if iscoroutinefunction(receiver) else receiver
            call(
                signal=signal,
                sender=config,
                app_config=config,
                verbosity=0,
                interactive=False,
                stdout=OutputWrapper(sys.stdout),
                using=using,
                **arguments,
            )


def apps_after(state: ProjectState) -> StateApps:
    """Return the `apps` that Django's `migrate` gives to receivers of `post_migrate`.

    `state` is where the migrations have led.
    """
    state.clear_delayed_apps_cache()
    state_apps = state.apps
    # Render the models of apps without migrations again: now the models they refer to exist.
    keys = [(real.app_label, real.name_lower) for real in state_apps.real_models]
    with state_apps.bulk_update():
        for key in keys:
            state_apps.unregister_model(*key)
    state_apps.render_multiple([ModelState.from_model(apps.get_model(*key)) for key in keys])
    return state_apps


def senders() -> list[AppConfig]:
    return [config for config in apps.get_app_configs() if config.models_module is not None]


def receivers(signal: Signal, sender: object) -> list[Receiver]:
    synchronous, asynchronous = signal._live_receivers(sender)
    return [*synchronous, *asynchronous]


@contextmanager
def progress(show: Callable[[str], object]) -> Iterator[None]:
    """Call `show` with each message about migrations that run in the block."""

    def on_message(message: str, **kwargs):
        show(message)

    schema_migrate_message.connect(on_message)
    try:
        yield
    finally:
        schema_migrate_message.disconnect(on_message)
