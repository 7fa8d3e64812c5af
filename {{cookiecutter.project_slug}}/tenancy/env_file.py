"""The project's `.env`: made once from `.env.example`, with its own secrets, never overwritten.

Standard library only: the template runs this file by its path, before anything is installed, under
any Python that Cookiecutter has.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

SECRETS = {"SECRET_KEY": 50, "ADMIN_PASSWORD": 15, "POSTGRES_PASSWORD": 24}  # bytes of randomness


def names(text: str, *, examples: bool = False) -> set[str]:
    """Return the variables that an env file sets, with `examples` also those commented out."""
    return set(re.findall(rf"^{'(?:# )?' if examples else ''}([A-Z][A-Z0-9_]*)=", text, re.M))


def write(example: Path, target: Path) -> None:
    """Make `.env` from `.env.example`, with random values for empty secrets, for its owner only.

    Raises FileExistsError if `.env` exists.
    """
    fill(example.read_text(encoding="utf-8"), target)


def fill(text: str, target: Path) -> None:
    """Write the text of an env file, with random values for empty secrets, for its owner only."""
    for name, size in SECRETS.items():
        text = re.sub(rf"^{name}=$", f"{name}={secrets.token_urlsafe(size)}", text, flags=re.M)
    target.touch(mode=0o600, exist_ok=False)
    target.write_text(text, encoding="utf-8")


def ensure(root: Path) -> bool:
    """Make the `.env` of a fresh clone; return whether it was made.

    If the environment sets a variable of `.env.example`, it configures the project: make no file.
    """
    example, target = root / ".env.example", root / ".env"
    if target.exists() or not example.exists():
        return False
    if names(example.read_text(encoding="utf-8"), examples=True) & os.environ.keys():
        return False
    write(example, target)
    return True
