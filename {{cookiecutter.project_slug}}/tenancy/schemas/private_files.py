"""Files that no web server sends: exports and archives, in a folder for each schema.

They are below the setting PRIVATE_ROOT, by default `private` beside `manage.py`. All processes of a
project, also workers, need the same folder. Rows keep a file's name, which is relative to it.
"""

import shutil
from pathlib import Path

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import get_random_string

ARCHIVES, EXPORTS = "archives", "exports"


def private_root() -> Path:
    return Path(getattr(settings, "PRIVATE_ROOT", settings.BASE_DIR / "private")).absolute()


def new_file_name(kind: str, schema_name: str, slug: str) -> str:
    """Return a name that nobody can guess, and make its folder, which only its user can read."""
    folder = folder_of(kind, schema_name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{timezone.now():%Y-%m-%d}-{get_random_string(22)}-{slug}.zip"
    return f"{kind}/{schema_name}/{name}"


def path_of(name: str) -> Path:
    return private_root() / name


def folder_of(kind: str, schema_name: str) -> Path:
    return private_root() / kind / schema_name


def remove(name: str) -> None:
    """Remove the file, and what a killed process has left of it."""
    path = path_of(name)
    path.unlink(missing_ok=True)
    for half in path.parent.glob(f".{path.name[:50]}.*"):
        half.unlink(missing_ok=True)


def remove_folder(kind: str, schema_name: str) -> None:
    if (folder := folder_of(kind, schema_name)).is_dir():
        shutil.rmtree(folder)
