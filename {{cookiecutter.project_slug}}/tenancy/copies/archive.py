"""A backup's file: a zip with what a tenant was like, its statements, its rows and its uploads.

`header.json` says what `SHAPE` says; `before.sql` and `after.sql` are pg_dump's statements;
`rows/<n>` are those of the header's nth table, as COPY writes them; `files/` are the uploads. The
zip's own checksums tell a damaged file from a whole one, and nothing tells a forged one: what is in
it runs with the application's rights.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from zipfile import ZipFile

from tenancy import hosts
from tenancy.exceptions import CopyError, one_line
from tenancy.schemas.dump import split

FORMAT = 1  # of the files that this code writes, and the newest that it reads
FILES = "files/"
BEFORE, AFTER = "before.sql", "after.sql"

PERSON = (str, str, bool)  # e-mail, user name, whether active
SHAPE = {
    "minimum": int,
    "made": str,
    "django": str,
    "postgresql": int,
    "name": str,
    "slug": str,
    "host": str,
    "schema_name": str,
    "organization": str,
    "owner": PERSON,
    "members": [PERSON],
    "domains": [(str, bool, bool)],  # the host, whether primary, whether it redirects
    "migrations": [(str, str)],
    "references": [
        {"model": str, "field": str, "columns": [(str, str)], "keys": [(str, list)]},
    ],
    "tables": [(str, [str])],
    "sequences": [(str, int, bool)],
}
# What a backup may lack. A header may also have further keys, which are ignored.
OPTIONAL = {
    "fields": {},
    "organization_fields": {},
    "domain_fields": {},  # by host
    "people_fields": {},  # by e-mail
}

# What pg_dump makes a schema with. It keeps mistakes out, not people: a function can do anything.
STATEMENT = re.compile(
    r"(CREATE|ALTER|COMMENT ON|GRANT|REVOKE|REFRESH MATERIALIZED VIEW|SET LOCAL|SECURITY LABEL)\s"
)


class Backup:
    """One that was opened for reading, and is whole. What is missing or amiss is a CopyError."""

    def __init__(self, archive: ZipFile):
        self.archive = archive
        if damaged := archive.testzip():
            raise CopyError(f"The backup is damaged: {damaged}.")
        self.header = json.loads(archive.read("header.json"))
        if not fits(self.header, SHAPE) or not is_storable(self.header):
            raise CopyError("The backup's header isn't as a backup has it.")
        if self.header["minimum"] > FORMAT:
            newer = self.header["minimum"]
            raise CopyError(f"The backup has format {newer}; this code reads up to {FORMAT}.")
        self.header = OPTIONAL | self.header
        if not all(isinstance(self.header[key], dict) for key in OPTIONAL):
            raise CopyError("The backup's header isn't as a backup has it.")
        self.before, self.after = map(self.statements, (BEFORE, AFTER))
        names = {"header.json", BEFORE, AFTER, *map(rows_of, range(len(self.header["tables"])))}
        if missing := names - {*archive.namelist()}:
            raise CopyError(f"The backup lacks {min(missing)}.")
        self.files = [name for name in archive.namelist() if name not in names]
        for name in self.files:
            if not is_inside(name):
                raise CopyError(f"The backup has a file that is none of a tenant's: {name!a}.")

    def statements(self, name: str) -> list[str]:
        statements = list(split(self.archive.read(name).decode()))
        for statement in statements:
            if not STATEMENT.match(statement):
                raise CopyError(f"No backup has such a statement: {statement[:80]!a}.")
        return statements


@contextmanager
def opened(path: Path) -> Iterator[Backup]:
    """Raises CopyError."""
    with ExitStack() as stack:
        try:
            backup = Backup(stack.enter_context(ZipFile(path)))
        except CopyError:
            raise
        except Exception as error:  # a forged or damaged zip, or JSON, has many ways to fail
            reason = getattr(error, "strerror", None) or one_line(error)
            reason = reason or type(error).__name__
            raise CopyError(f"“{path}” is no backup that can be read: {reason}.") from error
        yield backup


def rows_of(number: int) -> str:
    return f"rows/{number}"


def is_inside(name: str) -> bool:
    parts = name.removeprefix(FILES).split("/")
    return name.startswith(FILES) and not {"", ".", ".."} & {*parts}


def is_storable(header: dict) -> bool:
    """Whether PostgreSQL takes its texts, and the schema's name is one that can be replaced."""
    text = json.dumps(header, ensure_ascii=False)
    text.encode()  # raises ValueError where half a character is in it
    return "\\u0000" not in text and bool(re.match(hosts.SCHEMA_NAME, header["schema_name"]))


def fits(value, shape) -> bool:
    """Whether what JSON holds is of the shape: a type, or a dict, list or tuple of shapes."""
    match shape:
        case dict():
            return (
                isinstance(value, dict)
                and value.keys() >= shape.keys()
                and all(fits(value[key], shape[key]) for key in shape)
            )
        case list():
            return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
        case tuple():
            return (
                isinstance(value, list)
                and len(value) == len(shape)
                and all(map(fits, value, shape))
            )
    return type(value) is shape
