"""System checks that are imported when they run.

A process that answers requests or runs tasks runs none, and the imports are a tenth of its start.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module

from django.core import checks


def register(tag: str, *, deploy: bool = False) -> Callable:
    """Mark a function as a system check of a module that `install` names."""

    def mark(function: Callable) -> Callable:
        function.runs_for = (tag, deploy)
        return function

    return mark


def install(module: str, *tags: str) -> None:
    """Register the checks of the tags that the module has, with Django."""
    for tag in tags:
        for deploy in (False, True):
            checks.register(runner(module, tag, deploy), tag, deploy=deploy)


@cache  # an app's ready() runs again where a test changes INSTALLED_APPS
def runner(module: str, tag: str, deploy: bool) -> Callable:
    return partial(run, module, (tag, deploy))


def run(module: str, wanted: tuple[str, bool], **kwargs) -> Iterator[checks.CheckMessage]:
    for function in [*vars(import_module(module)).values()]:  # a warning adds to them
        if getattr(function, "runs_for", None) == wanted:
            yield from function(**kwargs)
