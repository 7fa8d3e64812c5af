"""Dump a schema as SQL statements, and replay them under another name.

pg_dump writes them: it knows every kind of object. To rename the schema, its name is replaced in
the text. So the name must be one that PostgreSQL puts in double quotes and that occurs nowhere
else, such as `blueprint-` and random digits.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.db import connection, transaction
from django_tenants.utils import quote_schema_name, schema_context

from tenancy.database import citus
from tenancy.exceptions import DumpFailed, LocalPostgresError
from tenancy.postgres import programs

PATIENCE = 600  # seconds: pg_dump reads the catalog of all schemas before it writes anything
LOCK_TIMEOUT = 5000  # milliseconds to wait for a migration that waits for our own transaction
FOR_COPIES = "--quote-all-identifiers", f"--lock-wait-timeout={LOCK_TIMEOUT}"
Parts = tuple[list[str], list[str]]  # the statements to run before the rows are inserted, and after

# What decides where a statement ends. Nothing else can contain a semicolon.
TOKEN = re.compile(
    r"""
      (?P<quoted> (?<!\w)E'(?:[^'\\]|\\.|'')*' | '[^']*' | "[^"]*" | \$(\w*)\$.*?\$\2\$ )
    | (?P<nothing> --[^\n]*\n | ^\\[^\n]*\n )                 # a comment, or a command to psql
    | (?P<opening> \( | \bBEGIN\ ATOMIC\b | \bCASE\b )        # the body of a rule or a function
    | (?P<closing> \) | \bEND\b )
    | (?P<end> ; )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)

# The comment before each object's statements. A schema itself is in no schema, and so are its own
# comment and its privileges, whose name is that of the schema after “SCHEMA”.
HEADER = re.compile(
    r"-- (?:Data for )?Name: (?P<name>.*); Type: (?P<type>.*); Schema: (?P<schema>.*); Owner: .*\n"
)


def dump_schema(schema_name: str) -> list[str]:
    """Return the statements that make all objects and rows in the schema, but not the schema.

    They contain what is committed. Raises DumpFailed.
    """
    version = connection.pg_version // 10000
    options = "--rows-per-insert=1000"
    return pg_dump(connection.settings_dict, [schema_name], version, options)[schema_name]


def dump_around_rows(schema_name: str, snapshot: str) -> Parts:
    """Return the statements to run before the rows are inserted, and those to run after.

    Tables, types, functions and views come before; indexes, constraints, triggers and the content
    of materialized views after. `snapshot` is the id of an exported snapshot. PostgreSQL's own
    mentions of the schema are in double quotes, as `rename` needs them. Raises DumpFailed.
    """
    return dump_sections([schema_name], *FOR_COPIES, f"--snapshot={snapshot}")[schema_name]


def dump_many_around_rows(schema_names: Collection[str]) -> dict[str, Parts]:
    """Return the same for each of the schemas, as it is committed. Raises DumpFailed.

    It takes hardly longer than for one: pg_dump reads the catalog of all schemas in any case.
    """
    return dump_sections(schema_names, *FOR_COPIES)


def dump_sections(schema_names: Collection[str], *options: str) -> dict[str, Parts]:
    """Return the two parts of each schema, with pg_dump's own options. Raises DumpFailed."""
    version = connection.pg_version // 10000
    call = partial(pg_dump, connection.settings_dict, schema_names, version, *options)
    with ThreadPoolExecutor() as pool:  # most of the time each reads the catalog
        before, after = pool.map(call, ("--section=pre-data", "--section=post-data"))
    return {name: (before[name], after[name]) for name in schema_names}


def pg_dump(
    database: dict, schema_names: Collection[str], version: int, *options: str
) -> dict[str, list[str]]:
    """Run pg_dump of this major version or a newer one; return each schema's statements.

    `database` is the connection's settings. It opens no connection of ours, so any thread may call
    it. Raises DumpFailed.
    """
    schemas = [f"--schema={quote_schema_name(name)}" for name in schema_names]
    arguments, variables = connection.client.settings_to_cmd_args_env(
        database,
        [*options, "--no-owner", "--encoding=UTF8", "--no-password", *schemas],
    )
    # pg_dump must connect as this process does, which also reads PGSSLMODE and the like.
    inherited = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    failure = (
        f"There is no pg_dump {version} or newer: on Debian and Ubuntu"
        f" `apt install postgresql-client-{version}`."
    )
    for program in programs.programs("pg_dump", version=version):
        command = [program, *arguments[1:]]
        try:
            text = programs.run(command, variables=inherited | (variables or {}), patience=PATIENCE)
        except LocalPostgresError as error:  # the wheel's has no TLS; the next one may have it
            failure = str(error)
        else:
            return by_schema(text, schema_names)
    raise DumpFailed(failure)


def by_schema(text: str, schema_names: Iterable[str]) -> dict[str, list[str]]:
    """Return the statements that make each schema's objects, without those that pg_dump puts around
    them. Raises DumpFailed for a statement that is of none of the schemas."""
    found = {name: [] for name in schema_names}
    statements = entries(text)
    # Up to this one there are settings for the session that restores a whole database.
    for _, statement in statements:
        if statement == "SET row_security = off;":
            break
    for header, statement in statements:
        if statement.startswith("SET "):  # it is for all that comes after it
            for own in found.values():
                own.append(f"SET LOCAL {statement.removeprefix('SET ')}")
        elif schema_of(header) in found:
            if header["type"] != "SCHEMA":
                found[schema_of(header)].append(statement)
        else:
            raise DumpFailed(f"pg_dump wrote what is of no schema: {statement[:200]}")
    return found


def schema_of(header: re.Match | None) -> str | None:
    """Return the schema of the object that the HEADER is about."""
    if header is None:
        return None
    return header["name"].removeprefix("SCHEMA ") if header["schema"] == "-" else header["schema"]


def split(text: str) -> Iterator[str]:
    """Yield the statements in pg_dump's output, each with its semicolon."""
    return (statement for _, statement in entries(text))


def entries(text: str) -> Iterator[tuple[re.Match | None, str]]:
    """Yield each statement in pg_dump's output, after the HEADER of its object."""
    header = None
    start = depth = 0
    for token in TOKEN.finditer(text):
        match token.lastgroup:
            case "nothing" if not text[start : token.start()].strip():
                header = HEADER.fullmatch(token[0]) or header
                start = token.end()
            case "opening":
                depth += 1
            case "closing":
                depth -= 1
            case "end" if depth == 0:
                yield header, text[start : token.end()].strip()
                start = token.end()


def replay(statements: list[str], template_name: str, schema_name: str) -> None:
    """Make the schema from the template's statements, in one round trip.

    It joins the current transaction, and leaves no setting behind. If it raises, nothing is left.
    Raises DatabaseError; ProgrammingError if the schema exists.
    """
    statements = [
        f"CREATE SCHEMA {quote_schema_name(template_name)};",
        "SET LOCAL check_function_bodies = off;",  # a function may use a later object
        # Else PostgreSQL considers them for each index, which takes a fiftieth of the time.
        "SET LOCAL max_parallel_maintenance_workers = 0;",
        *statements,
    ]
    # The search_path is set before the transaction, because the connection remembers it then.
    whole = transaction.atomic(savepoint=False)
    with schema_context(schema_name), whole, connection.cursor() as cursor:
        for message in citus.messages(statements):
            cursor.execute(message.replace(template_name, schema_name))


def rename(text: str, old: str, new: str) -> str:
    """Return the statement with the schema's new name, also within the text of a function.

    Every word with the random digits of `old` means that schema. The new name gets double quotes
    if it needs them, except where it is a quoted string of its own.
    """
    word = rf"(?<![\w-]){re.escape(old)}(?!\w)"
    bare = quote_schema_name(new) if "-" in new else new
    return re.sub(
        rf"""(?P<quote>["']){word}(?P=quote)|{word}""",
        lambda found: "{0}{1}{0}".format(found["quote"], new) if found["quote"] else bare,
        text,
    )
