"""A tenant's folder of uploads, as a whole. A storage that isn't one of folders has none."""

import logging
import shutil
from pathlib import Path

from django.core.files.storage import default_storage
from django_tenants.utils import schema_context

logger = logging.getLogger(__name__)


def folder_of(schema_name: str) -> Path | None:
    """Where the tenant's uploads are, whether or not there are any; None if not in a folder."""
    with schema_context(schema_name):
        try:
            folder = Path(default_storage.path(""))
        except NotImplementedError:
            return None
    return folder if folder.name == schema_name else None


def copy_files(source: str, target: str) -> None:
    """From one schema's folder to another's, which isn't there yet. A link stays one."""
    old, new = folder_of(source), folder_of(target)
    if old is None:
        logger.warning(f"The storage has no folders: copy {source}'s uploads to {target} by hand.")
    elif old.is_dir():
        shutil.copytree(old, new, symlinks=True, copy_function=copy_if_there)


def copy_if_there(source: str, target: str) -> None:
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        """A tenant in use has deleted it meanwhile."""


def remove_files(schema_name: str) -> None:
    """The folder with uploads. What another kind of storage has stays.

    So does a cache, which forgets by itself: no other tenant will ever have that schema's name.
    """
    folder = folder_of(schema_name)
    if folder and folder.is_dir():
        shutil.rmtree(folder)
