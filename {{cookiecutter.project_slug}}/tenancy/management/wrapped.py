"""What the commands share that run another one in a tenant."""

from collections.abc import Sequence

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError

OURS = __name__.partition(".management")[0]


def load(name: str) -> BaseCommand:
    """The command of that name. Raises CommandError where it can't run in one tenant."""
    app = get_commands().get(name)
    if app is None:
        raise CommandError(f"There is no command {name!a}.")
    if app == OURS:
        raise CommandError(f"“{name}” knows the tenants by itself: call it as it is.")
    return load_command_class(app, name)


def before_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments before `--`, among which may be ours, and the rest, which are not."""
    arguments = list(arguments)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end:]


def streams(options: dict) -> dict:
    """Where `call_command` was told to write to."""
    return {name: options[name] for name in ("stdout", "stderr") if options.get(name)}
