"""Where `backup_all` keeps archives: in a folder, or in a bucket with a key of its own.

An archive is named `<schema>/<time>.zip`. It gets its name when it is complete.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from tenancy import s3
from tenancy.exceptions import CopyError, MissingRequirement, one_line

TIME = "%Y%m%dT%H%M%SZ"
NAME = re.compile(r"(?P<schema>[^/]+)/(?P<time>\d{8}T\d{6}Z)\.zip")
DAY = 24 * 60 * 60  # seconds


class Place(Protocol):
    """A place of archives. Its text says where it is. What fails raises an OSError."""

    def names(self) -> list[str]:
        """Return the sorted names of the complete archives."""

    def keep(self, name: str, make: Callable[[Path], object]) -> None:
        """Keep the file that `make` writes to a path."""

    def fetched(self, name: str) -> AbstractContextManager[Path]:
        """Yield the path of the archive on this machine."""

    def delete(self, name: str) -> None: ...


class FolderPlace:
    def __init__(self, folder: Path):
        self.folder = folder

    def __str__(self):
        return str(self.folder)

    def names(self):
        found = (path.relative_to(self.folder).as_posix() for path in self.folder.glob("*/*.zip"))
        return sorted(filter(NAME.fullmatch, found))

    def keep(self, name, make):
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for half in path.parent.glob(".*"):  # of a process that was killed
            if half.stat().st_mtime < time.time() - DAY:
                half.unlink(missing_ok=True)
        make(path)

    def fetched(self, name):
        return nullcontext(self.folder / name)

    def delete(self, name):
        (self.folder / name).unlink(missing_ok=True)


def place_of(url: str) -> Place:
    """Return the place of BACKUPS_URL, or of another URL. Raises CopyError."""
    if url.startswith("s3:"):
        try:
            options = s3.options("BACKUPS_URL", url)
        except MissingRequirement as error:
            raise CopyError(str(error)) from None
        return import_string("tenancy.copies.bucket.BucketPlace")(options)
    if not url.startswith("/"):
        raise CopyError(
            "Name a place for archives: set BACKUPS_URL to an absolute path, or to"
            " s3://KEY:SECRET@host/bucket."
        )
    return FolderPlace(Path(url))


def default_place() -> Place:
    return place_of(getattr(settings, "BACKUPS_URL", ""))


@contextmanager
def archive_at(path: str) -> Iterator[Path]:
    """Yield a file's path, or that of an archive of BACKUPS_URL by its name. Raises CopyError."""
    if Path(path).exists() or not NAME.fullmatch(path):
        yield Path(path)
        return
    place = default_place()
    with ExitStack() as stack:
        try:
            found = stack.enter_context(place.fetched(path))
        except OSError as error:
            raise CopyError(f"“{path}” can't be had from {place}: {one_line(error)}") from None
        yield found


def name_of(schema_name: str, when: datetime) -> str:
    return f"{schema_name}/{when.astimezone(UTC):{TIME}}.zip"


def schema_of(name: str) -> str:
    return name.partition("/")[0]


def time_of(name: str) -> datetime:
    return datetime.strptime(NAME.fullmatch(name)["time"], TIME).replace(tzinfo=UTC)
