"""Who hears `pre_migrate` and `post_migrate`: Django's own receivers, which write content types and
permissions, and all others, of which nothing is known."""

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


def has_receivers(signal: Signal, by: Callable[[Receiver], bool]) -> bool:
    """Whether any receiver for which `by` is true would get the signal."""
    return any(by(receiver) for config in senders() for receiver in receivers(signal, config))


def send_migrate_signal(
    signal: Signal,
    to: Callable[[Receiver], bool],
    *,
    using: str,
    configs: Iterable[AppConfig] | None = None,
    **arguments,
) -> None:
    """Send the signal as Django's `migrate` does, only to the receivers for which `to` is true.

    `configs` are the apps to send it for, all where None; `arguments` are Django's `apps`, `plan`.
    """
    for config in senders() if configs is None else configs:
        for receiver in receivers(signal, config):
            if to(receiver):
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
    """What Django's `migrate` gives to receivers as `apps` once the migrations led to `state`."""
    state.clear_delayed_apps_cache()
    state_apps = state.apps
    # The models of apps without migrations anew, now that those which they refer to are there.
    keys = [(real.app_label, real.name_lower) for real in state_apps.real_models]
    with state_apps.bulk_update():
        for key in keys:
            state_apps.unregister_model(*key)
    state_apps.render_multiple([ModelState.from_model(apps.get_model(*key)) for key in keys])
    return state_apps


def senders() -> list[AppConfig]:
    return [config for config in apps.get_app_configs() if config.models_module is not None]


def receivers(signal: Signal, config: AppConfig) -> list[Receiver]:
    synchronous, asynchronous = signal._live_receivers(config)
    return [*synchronous, *asynchronous]


def has_custom_receivers(*signals: Signal) -> bool:
    """Return whether anything is connected to one of django-tenants' signals about migrations."""
    return any(receivers(signal, run_migrations) for signal in signals)


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
