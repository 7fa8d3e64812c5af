"""What the commands share that run another command in a tenant."""

from collections.abc import Sequence

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError


def load(name: str) -> BaseCommand:
    """Return the command of that name. Raises CommandError if it can't run in one tenant."""
    app = get_commands().get(name)
    if app is None:
        raise CommandError(f"There is no command {name!a}.")
    if app == "tenancy":
        raise CommandError(f"“{name}” finds the tenants itself: call it directly.")
    return load_command_class(app, name)


def split_at_dashes(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments before `--`, some of which may be ours, and the rest."""
    arguments = list(arguments)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end:]


def streams(options: dict) -> dict:
    """Return the options of `call_command` that say where to write."""
    return {name: options[name] for name in ("stdout", "stderr") if options.get(name)}
