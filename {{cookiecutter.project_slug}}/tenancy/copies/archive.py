"""The file of a backup: a zip with a tenant's description, statements, rows and uploads.

`header.json` is what `backups.describe` returns. `before.sql` and `after.sql` are pg_dump's
statements. `rows/<n>` are the rows of the header's nth table, in COPY's format. `files/` are the
uploads. The zip's checksums detect damage, not forgery: what is in a backup runs with the
application's rights.

A reader ignores keys of the header that it doesn't know. If older code can't read a new format,
FORMAT rises.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from django.conf import settings

from tenancy.exceptions import CopyError, LifecycleError, one_line
from tenancy.schemas.dump import split

FORMAT = 1
FILES = "files/"
HEADER, BEFORE, AFTER = "header.json", "before.sql", "after.sql"

# What pg_dump's statements begin with. This keeps out mistakes, not attacks: a function can do
# anything.
STATEMENT = re.compile(
    r"(CREATE|ALTER|COMMENT ON|GRANT|REVOKE|REFRESH MATERIALIZED VIEW|SET LOCAL|SECURITY LABEL)\s"
)


# No archive may fill the memory or the disk. ZipFile reads no more of an entry than the index says,
# so these hold for what the index says. Rows and uploads are streamed.
MAX_ENTRIES = 1_000_000
MAX_IN_MEMORY = 256 * 2**20  # bytes of the header and of the statements, each
MAX_RATIO = 200  # of an archive that unpacks to more than SMALL bytes
SMALL = 2**30


class Backup:
    """A complete backup that was opened for reading. Raises an exception for any other file."""

    def __init__(self, archive: ZipFile):
        self.archive = archive
        check_size(archive)
        if damaged := archive.testzip():
            raise CopyError(f"The backup is damaged: {damaged}.")
        self.header = json.loads(archive.read(HEADER))
        if (newer := self.header["minimum"]) > FORMAT:
            raise CopyError(f"The backup has format {newer}; this code reads up to {FORMAT}.")
        self.before, self.after = map(self.statements, (BEFORE, AFTER))
        names = {HEADER, BEFORE, AFTER, *map(rows_of, range(len(self.header["tables"])))}
        if missing := names - {*archive.namelist()}:
            raise CopyError(f"The backup lacks {min(missing)}.")
        self.files = [name for name in archive.namelist() if name not in names]
        for name in self.files:
            parts = {*name.removeprefix(FILES).split("/")}
            if not name.startswith(FILES) or parts & {"", ".", ".."}:
                raise CopyError(f"The backup has a file that is none of a tenant's: {name!a}.")

    def statements(self, name: str) -> list[str]:
        statements = list(split(self.archive.read(name).decode()))
        for statement in statements:
            if not STATEMENT.match(statement):
                raise CopyError(f"No backup has such a statement: {statement[:80]!a}.")
        return statements


def check_size(archive: ZipFile) -> None:
    """Raise CopyError for an archive that would unpack to much more than a backup does.

    The setting TENANT_RESTORE_MAX_RATIO replaces MAX_RATIO.
    """
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise CopyError(f"The backup has more than {MAX_ENTRIES:,} entries.")
    if len({*archive.namelist()}) < len(entries):
        raise CopyError("The backup has two entries of one name.")
    for entry in entries:
        if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise CopyError(f"The backup is compressed in an unknown way: {entry.filename!a}.")
        if entry.file_size > MAX_IN_MEMORY and entry.filename in (HEADER, BEFORE, AFTER):
            raise CopyError(f"The backup's {entry.filename} has more than {MAX_IN_MEMORY:,} bytes.")
    unpacked, packed = sum(entry.file_size for entry in entries), archive.fp.seek(0, SEEK_END)
    most = getattr(settings, "TENANT_RESTORE_MAX_RATIO", MAX_RATIO)
    if unpacked > max(SMALL, most * packed):
        raise CopyError(
            f"The backup unpacks to {unpacked // packed} times its size. If it is yours, raise"
            f" TENANT_RESTORE_MAX_RATIO ({most})."
        )


@contextmanager
def opened(source: Path | BinaryIO) -> Iterator[Backup]:
    """Open a backup. If anything fails, also in the block, a LifecycleError says why."""
    try:
        with ZipFile(source) as archive:
            yield Backup(archive)
    except LifecycleError:
        raise
    except Exception as error:  # a damaged or forged zip can fail in many ways
        reason = getattr(error, "strerror", None) or one_line(error)
        name = getattr(source, "name", source)
        raise CopyError(f"“{name}” can't be restored: {reason}.") from error


def rows_of(number: int) -> str:
    return f"rows/{number}"
