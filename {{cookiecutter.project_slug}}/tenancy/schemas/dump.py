"""Dump a schema as SQL statements, and replay them under another name.

pg_dump writes them: it knows every kind of object. To rename the schema, its name is replaced in
the text. So the name must be one that PostgreSQL puts in double quotes and that occurs nowhere
else, such as `blueprint-` and random digits.
"""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.db import connection, transaction
from django_tenants.utils import quote_schema_name, schema_context

from tenancy.database import citus
from tenancy.exceptions import DumpFailed, LocalPostgresError
from tenancy.postgres import programs

PATIENCE = 600  # seconds: pg_dump reads the catalog of all schemas before it writes anything
LOCK_TIMEOUT = 5000  # milliseconds to wait for a migration that waits for our own transaction

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


def dump_schema(schema_name: str) -> list[str]:
    """Return the statements that make all objects and rows in the schema, but not the schema.

    They contain what is committed. Raises DumpFailed.
    """
    return pg_dump(schema_name, connection.pg_version // 10000, "--rows-per-insert=1000")


def dump_around_rows(schema_name: str, snapshot: str) -> tuple[list[str], list[str]]:
    """Return the statements to run before the rows are inserted, and those to run after.

    Tables, types, functions and views come before; indexes, constraints, triggers and the content
    of materialized views after. `snapshot` is the id of an exported snapshot. PostgreSQL's own
    mentions of the schema are in double quotes, as `rename` needs them. Raises DumpFailed.
    """
    return dump_sections(
        schema_name,
        "--quote-all-identifiers",
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={LOCK_TIMEOUT}",
    )


def dump_sections(schema_name: str, *options: str) -> tuple[list[str], list[str]]:
    """Do the same with what is committed, and with pg_dump's own options. Raises DumpFailed."""
    call = partial(pg_dump, schema_name, connection.pg_version // 10000, *options)
    with ThreadPoolExecutor() as pool:  # most of the time each reads the catalog
        before, after = pool.map(call, ("--section=pre-data", "--section=post-data"))
    return before, after


def pg_dump(schema_name: str, version: int, *options: str) -> list[str]:
    """Run pg_dump of this major version or a newer one; return the statements.

    It opens no connection of ours, so any thread may call it. Raises DumpFailed.
    """
    own = quote_schema_name(schema_name)
    arguments, variables = connection.client.settings_to_cmd_args_env(
        connection.settings_dict,
        [*options, "--no-owner", "--encoding=UTF8", "--no-password", f"--schema={own}"],
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
            return clean(text, own)
    raise DumpFailed(failure)


def clean(text: str, own: str) -> list[str]:
    """Return the statements that make the objects, without those that pg_dump puts around them."""
    statements = list(split(text))
    # Up to this one there are settings for the session that restores a whole database.
    start = statements.index("SET row_security = off;") + 1
    return [
        re.sub(r"\ASET ", "SET LOCAL ", statement)
        for statement in statements[start:]
        if statement != f"CREATE SCHEMA {own};"
    ]


def split(text: str) -> Iterator[str]:
    """Yield the statements in pg_dump's output, each with its semicolon."""
    start = depth = 0
    for token in TOKEN.finditer(text):
        match token.lastgroup:
            case "nothing" if not text[start : token.start()].strip():
                start = token.end()
            case "opening":
                depth += 1
            case "closing":
                depth -= 1
            case "end" if depth == 0:
                yield text[start : token.end()].strip()
                start = token.end()


def replay(statements: list[str], template_name: str, schema_name: str) -> None:
    """Make the schema from the template's statements, in one round trip.

    It joins the current transaction, and leaves no setting behind. If it raises, nothing is left.
    Raises DatabaseError; ProgrammingError if the schema exists.
    """
    statements = [
        f"CREATE SCHEMA {quote_schema_name(template_name)};",
        "SET LOCAL check_function_bodies = off;",  # a function may use what comes later
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
