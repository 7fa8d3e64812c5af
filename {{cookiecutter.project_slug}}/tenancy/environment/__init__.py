"""The project's variables, from the environment and from `.env`.

It has what settings use of the package environs, and its names. That package takes a tenth of a
process' start, for regular expressions that no variable needs.
"""

from __future__ import annotations  # some methods have names of types

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dj_database_url
import dotenv

TRUE = {"true", "t", "yes", "y", "on", "1"}
FALSE = {"false", "f", "no", "n", "off", "0"}
REQUIRED = object()


class EnvError(ValueError):
    """A variable is missing or malformed. The text names it, and never its value."""


class Env:
    """Reads variables: `env.int("PORT", default=587, validate=validate.Range(min=1))`.

    A variable without a default must be set. `validate` raises ValueError for a value that isn't
    good. A default isn't validated. Each method raises EnvError.
    """

    def read_env(self, path: Path, *, recurse: bool = False) -> None:
        """Set the variables of the file that the environment doesn't set, if there is a file.

        Raises OSError or ValueError for a file that can't be read. `recurse` is for settings that
        were written for environs: no other folder is searched.
        """
        if path.is_dir():
            raise ValueError("it is a directory")
        dotenv.load_dotenv(path)

    def str(self, name: str, **options) -> str:
        return read(name, str, **options)

    def int(self, name: str, **options) -> int:
        return read(name, to_int, **options)

    def bool(self, name: str, **options) -> bool:
        return read(name, to_bool, **options)

    def list(self, name: str, **options) -> list[str]:
        return read(name, to_list, **options)

    def path(self, name: str, **options) -> Path:
        return read(name, Path, **options)

    def dj_db_url(self, name: str, **options) -> dict[str, Any]:
        """Return the database that the URL names, for DATABASES."""
        return read(name, to_database, **options)


def read(name: str, convert: Callable, *, default=REQUIRED, validate: Callable | None = None):
    text = os.environ.get(name)
    if text is None:
        if default is REQUIRED:
            raise EnvError(f'Environment variable "{name}" not set')
        return default
    try:
        value = convert(text)
        if validate:
            validate(value)
    except ValueError as error:
        reason = str(error)
    else:
        return value
    # Outside of the handler: its error may have the value, which may be a secret.
    raise EnvError(f'Environment variable "{name}" invalid: {reason}')


def to_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("Write a whole number.") from None


def to_bool(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError("Write “on” or “off”.")
    return text.lower() in TRUE


def to_list(text: str) -> list[str]:
    return text.split(",") if text else []


def to_database(url: str) -> dict[str, Any]:
    try:
        return dict(dj_database_url.parse(url))
    except Exception:  # the package's own errors have the URL
        raise ValueError("It is not the URL of a database.") from None
