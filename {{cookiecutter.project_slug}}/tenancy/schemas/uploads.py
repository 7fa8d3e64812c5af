"""A tenant's uploads as a whole: the files of its folder, or its objects in a bucket.

A storage of the project's own may keep them in another way. The engine leaves those alone.
"""

import logging
import shutil
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from django.core.files.storage import default_storage
from django_tenants.utils import schema_context

logger = logging.getLogger(__name__)


class Uploads(Protocol):
    """The uploads of one tenant. Its text says where they are. What fails raises an OSError."""

    def exist(self) -> bool: ...

    def names(self) -> list[str]:
        """Return the sorted names, as `default_storage` has them."""

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Raises FileNotFoundError for a file that was deleted meanwhile."""

    def write(self, name: str, file: BinaryIO) -> None:
        """Write a file that isn't there yet."""

    def copy_to(self, target: "Uploads") -> None:
        """Copy to a tenant that has none yet. What is deleted meanwhile is left out."""

    def move_to(self, target: "Uploads") -> None:
        """Move to another name. The next call finishes an interrupted one.

        Raises FileExistsError if other files are there.
        """

    def remove(self) -> None: ...


class Folder:
    def __init__(self, path: Path):
        self.path = path

    def __str__(self):
        return str(self.path)

    def exist(self):
        return self.path.exists()

    def names(self):
        files = (path for path in self.path.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.path).as_posix() for path in files)

    def open(self, name):
        return (self.path / name).open("rb")

    def write(self, name, file):
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as new:
            shutil.copyfileobj(file, new)

    def copy_to(self, target):
        """Links stay links."""
        if self.exist():
            shutil.copytree(self.path, target.path, symlinks=True, copy_function=copy_if_there)

    def move_to(self, target):
        if self.exist():
            if target.exist():
                raise FileExistsError
            self.path.rename(target.path)

    def remove(self):
        if self.path.is_dir():
            shutil.rmtree(self.path)


def copy_if_there(source: str, target: str) -> None:
    with suppress(FileNotFoundError):  # a tenant in use has deleted it meanwhile
        shutil.copy2(source, target)


class Unknown:
    """The uploads in a storage of the project's own."""

    def __init__(self, schema_name: str):
        self.schema_name = schema_name

    def __str__(self):
        return f"{self.schema_name}'s uploads"

    def exist(self):
        return False

    def names(self):
        logger.warning(f"The storage is the project's own: {self} are left out.")
        return []

    def copy_to(self, target):
        logger.warning(
            f"The storage is the project's own: copy {self} to {target.schema_name} by hand."
        )

    def move_to(self, target):
        pass

    def remove(self):
        pass


def uploads_of(schema_name: str) -> Uploads | Unknown:
    with schema_context(schema_name):
        if hasattr(default_storage, "uploads"):
            return default_storage.uploads()
        try:
            folder = Path(default_storage.path(""))
        except NotImplementedError:
            return Unknown(schema_name)
    return Folder(folder) if folder.name == schema_name else Unknown(schema_name)


def remove_files(schema_name: str) -> None:
    uploads_of(schema_name).remove()
