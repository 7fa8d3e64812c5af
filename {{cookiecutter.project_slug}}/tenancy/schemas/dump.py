"""A schema written down as statements, which can be replayed under another name.

The text is pg_dump's, which knows every kind of object there is. The name of the schema must be
one that PostgreSQL puts in double quotes and that occurs nowhere else, such as `blueprint-` and a
random number: then wherever it stands, the other name can stand.
"""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.db import connection, transaction
from django_tenants.utils import quote_schema_name, schema_context

from tenancy.exceptions import DumpFailed, LocalPostgresError
from tenancy.postgres import programs

PATIENCE = 600  # seconds: pg_dump looks at the tables of all schemas before it writes down one
LOCKED = 5000  # milliseconds: where a migration waits for a table that our transaction has read
OPTIONS = ["--no-owner", "--encoding=UTF8", "--no-password"]

# What matters for where a statement ends. Anything else can't hold a semicolon.
TOKEN = re.compile(
    r"""
      (?P<quoted> (?<!\w)E'(?:[^'\\]|\\.|'')*' | '[^']*' | "[^"]*" | \$(\w*)\$.*?\$\2\$ )
    | (?P<nothing> --[^\n]*\n | ^\\[^\n]*\n )                 # a comment, or a command to psql
    | (?P<opening> \( | \bBEGIN\ ATOMIC\b | \bCASE\b )        # the body of a rule, of a function
    | (?P<closing> \) | \bEND\b )
    | (?P<end> ; )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
LEAVING = re.compile(r"ALTER TABLE .*\n? +ADD CONSTRAINT .* FOREIGN KEY \(.*\) REFERENCES (.+)")


def dump_schema(schema_name: str) -> list[str]:
    """The statements that make what is in the schema, rows included, but not the schema itself.

    What is committed is what is seen. Raises DumpFailed.
    """
    return clean(pg_dump(schema_name, "--rows-per-insert=1000")(), schema_name)


def dump_around_rows(schema_name: str, moment: str) -> tuple[list[str], list[str]]:
    """The statements to come before rows are filled in (tables, types, functions, views), and those
    after (indexes, constraints, triggers, what materialized views hold).

    `moment` is a snapshot that a transaction has exported. Wherever PostgreSQL wrote the schema's
    name it is in double quotes, so that `rename` can put another one there. Raises DumpFailed.
    """
    options = ["--quote-all-identifiers", f"--snapshot={moment}", f"--lock-wait-timeout={LOCKED}"]
    calls = [
        pg_dump(schema_name, *options, f"--section={section}")
        for section in ("pre-data", "post-data")
    ]
    with ThreadPoolExecutor() as both:  # each looks at the tables of all schemas
        before, after = both.map(lambda call: clean(call(), schema_name), calls)
    return before, after


def pg_dump(schema_name: str, *options: str) -> Callable[[], str]:
    """A call of it, which any thread may make; it raises DumpFailed."""
    version = connection.pg_version // 10000
    pattern = '"{}"'.format(schema_name.replace('"', '""'))
    arguments, variables = connection.client.settings_to_cmd_args_env(
        connection.settings_dict, [*OPTIONS, *options, f"--schema={pattern}"]
    )
    # It connects as we do, for whom PGSSLMODE and the like count as well.
    ours = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    return partial(run_one, version, arguments[1:], ours | (variables or {}))


def run_one(version: int, arguments: list[str], variables: dict[str, str]) -> str:
    failure = (
        f"There is no pg_dump {version} or newer: on Debian and Ubuntu"
        f" `apt install postgresql-client-{version}`."
    )
    for program in programs.programs("pg_dump", version=version):
        try:
            command = [program, *arguments]
            return programs.run(command, variables=variables, patience=PATIENCE)
        except LocalPostgresError as error:  # the wheel's has no TLS: perhaps another has
            failure = str(error)
    raise DumpFailed(failure)


def clean(dump: str, schema_name: str) -> list[str]:
    """The statements of pg_dump's text that others than it itself need."""
    statements = list(split(dump))
    own = quote_schema_name(schema_name)
    # Up to that one there are settings for the session of whoever restores a whole database.
    del statements[: statements.index("SET row_security = off;") + 1]
    local = [
        re.sub(r"\ASET ", "SET LOCAL ", statement)
        for statement in statements
        if statement != f"CREATE SCHEMA {own};"
    ]
    return sorted(local, key=lambda statement: place(statement, own))


def place(statement: str, own: str) -> int:
    """Where a statement goes: a table of others, who must wait for it, is locked at the end."""
    leaving = LEAVING.match(statement)
    if leaving and not leaving[1].startswith(f"{own}."):
        return 1
    return 2 if statement.startswith("COMMENT ON CONSTRAINT ") else 0


def split(text: str) -> Iterator[str]:
    """The statements of a text by pg_dump, each with its semicolon."""
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
    """Make the schema, with what was written down of the template, in one round trip.

    Raises DatabaseError, and ProgrammingError where the schema exists, and then nothing is left.
    It becomes part of a transaction that there is; no setting outlives that.
    """
    text = "\n".join(
        [
            f"CREATE SCHEMA {quote_schema_name(template_name)};",
            "SET LOCAL check_function_bodies = off;",  # one may use what comes later
            # Whether to is asked for each index: a fiftieth of the time.
            "SET LOCAL max_parallel_maintenance_workers = 0;",
            *statements,
        ]
    ).replace(template_name, schema_name)
    # The path on which migrations find things is set before, where it is remembered.
    whole = transaction.atomic(savepoint=False)
    with schema_context(schema_name), whole, connection.cursor() as cursor:
        cursor.execute(text)


def rename(text: str, old: str, new: str) -> str:
    """The statements with another schema's name, also where the text of a function has it.

    The random digits at the end of a name are its own: what has them means that schema. The new one
    gets the double quotes that it needs, but not where it is a string by itself.
    """
    word = rf"(?<![\w-]){re.escape(old)}(?!\w)"
    quoted = quote_schema_name(new) if "-" in new else new
    alone = rf"""(?P<quote>["']){word}(?P=quote)"""
    return re.sub(
        f"{alone}|{word}",
        lambda found: "{0}{1}{0}".format(found["quote"], new) if found["quote"] else quoted,
        text,
    )
