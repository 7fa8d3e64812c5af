"""Who hears `pre_migrate` and `post_migrate`: Django's own receivers, which write content types and
permissions, and all others, of which nobody knows what they do."""

from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction

from asgiref.sync import async_to_sync
from django.apps import AppConfig, apps
from django.dispatch import Signal

Receiver = Callable[..., object]


def djangos(receiver: Receiver) -> bool:
    return receiver.__module__.partition(".")[0] == "django"


def others(receiver: Receiver) -> bool:
    return not djangos(receiver)


def is_heard(signal: Signal, by: Callable[[Receiver], bool]) -> bool:
    """Whether any receiver for which `by` is true would get the signal."""
    return any(by(receiver) for config in senders() for receiver in receivers(signal, config))


def emit(
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
                    using=using,
                    **arguments,
                )


def senders() -> list[AppConfig]:
    return [config for config in apps.get_app_configs() if config.models_module is not None]


def receivers(signal: Signal, config: AppConfig) -> list[Receiver]:
    synchronous, asynchronous = signal._live_receivers(config)
    return [*synchronous, *asynchronous]
