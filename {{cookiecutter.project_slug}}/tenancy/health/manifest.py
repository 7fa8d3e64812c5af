"""MANIFEST lists the engine's files with their SHA-256. It shows what a project's owner has edited.

Run this file as a program to write MANIFEST after a change of the engine. It imports the standard
library only, so any Python can run it. `sha256sum --check MANIFEST` reads the same format.
"""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

ENGINE = Path(__file__).resolve().parents[1]
NAME = "MANIFEST"


class Changes(NamedTuple):
    """The paths of files, below the engine's folder, that differ from MANIFEST."""

    edited: list[str]
    added: list[str]
    missing: list[str]


def changes(engine: Path = ENGINE) -> Changes | None:
    """Compare the engine's files with MANIFEST. Return None if there is no MANIFEST."""
    try:
        lines = (engine / NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    listed = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    found = hashes(engine)
    return Changes(
        edited=sorted(path for path in listed.keys() & found if listed[path] != found[path]),
        added=sorted(found.keys() - listed),
        missing=sorted(listed.keys() - found),
    )


def hashes(engine: Path) -> dict[str, str]:
    """Return the hash of each file by its path. Leave out hidden files and Python's caches."""
    found = {}
    for above, folders, names in os.walk(engine):
        folders[:] = [name for name in folders if name[0] != "." and name != "__pycache__"]
        for path in (Path(above, name) for name in names if name[0] != "."):
            found[path.relative_to(engine).as_posix()] = hashlib.sha256(
                path.read_bytes()
            ).hexdigest()
    found.pop(NAME, None)
    return found


def write(engine: Path = ENGINE) -> None:
    lines = (f"{digest}  {path}\n" for path, digest in sorted(hashes(engine).items()))
    (engine / NAME).write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write()
