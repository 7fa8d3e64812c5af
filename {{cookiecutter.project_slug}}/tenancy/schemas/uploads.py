"""A tenant's folder of uploads. A storage without folders, such as an object storage, has none."""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

from django.core.files.storage import default_storage
from django_tenants.utils import schema_context

logger = logging.getLogger(__name__)


def folder_of(schema_name: str) -> Path | None:
    """Return the tenant's folder, which may not exist. None if the storage has no folders."""
    with schema_context(schema_name):
        try:
            folder = Path(default_storage.path(""))
        except NotImplementedError:
            return None
    return folder if folder.name == schema_name else None


def copy_files(source: str, target: str) -> None:
    """Copy a schema's uploads to another schema, which has none yet. Links stay links."""
    old, new = folder_of(source), folder_of(target)
    if old is None:
        logger.warning(f"The storage has no folders: copy {source}'s uploads to {target} by hand.")
    elif old.is_dir():
        shutil.copytree(old, new, symlinks=True, copy_function=copy_if_there)


def copy_if_there(source: str, target: str) -> None:
    with suppress(FileNotFoundError):  # a tenant in use has deleted it meanwhile
        shutil.copy2(source, target)


def remove_files(schema_name: str) -> None:
    """Remove the tenant's folder. What a storage without folders holds stays."""
    folder = folder_of(schema_name)
    if folder and folder.is_dir():
        shutil.rmtree(folder)
