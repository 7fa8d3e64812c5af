"""Citus: PostgreSQL on several machines, with each tenant's schema on one of them.

Only this module knows what Citus wants. Elsewhere the same calls do on a plain server what they do
without it. A schema is made on the coordinator like any other, and moves to a node as a whole when
its last statement has run: so `citus.enable_schema_based_sharding` stays off.

DATABASE_URL is the coordinator's. Each process recognises it by the query with which it looks for a
pooler (`tenancy.database.pooler`), so a plain server costs no query more.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

from django.db import DatabaseError, transaction
from django.db import connection as default
from django_tenants.utils import get_public_schema_name, quote_schema_name

from tenancy.exceptions import one_line

logger = logging.getLogger(__name__)

# An expression: whether the server has the extension, without a look into any table.
IS_THERE = "to_regclass('pg_catalog.pg_dist_node') IS NOT NULL"
# 0 on the coordinator.
GROUP = "SELECT groupid FROM pg_dist_local_group"
NODES = """
    SELECT nodename || ':' || nodeport FROM pg_dist_node
    WHERE noderole = 'primary' AND isactive AND shouldhaveshards ORDER BY 1
"""
PLACES = """
    SELECT DISTINCT schemaid::regnamespace::text, nodename || ':' || nodeport
    FROM pg_dist_schema
    JOIN pg_dist_partition USING (colocationid)
    JOIN pg_dist_shard USING (logicalrelid)
    JOIN pg_dist_placement USING (shardid)
    JOIN pg_dist_node USING (groupid)
    WHERE noderole = 'primary'
"""
SIZES = """
    SELECT nspname, coalesce(sum(shard_size), 0)::bigint FROM citus_shards
    JOIN pg_class ON oid = table_name
    JOIN pg_namespace ON pg_namespace.oid = relnamespace GROUP BY nspname
"""
TABLE_OF_INDEX = """
    SELECT relname::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
    WHERE indexrelid = to_regclass(quote_ident(%s))
"""
LOCK = """
    SELECT format('LOCK TABLE %%s IN ACCESS EXCLUSIVE MODE', string_agg(oid::regclass::text, ', '))
    FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p')
    HAVING count(*) > 0
"""
IS_DISTRIBUTED = "SELECT EXISTS (SELECT FROM pg_dist_schema WHERE schemaid = %s::regnamespace)"
# Citus refuses a table with triggers, such as those of tenants and domains.
CAN_BE_REFERENCE = """
    SELECT NOT EXISTS (
        SELECT FROM pg_dist_partition
        WHERE logicalrelid = %(table)s::regclass AND partmethod = 'n' AND repmodel = 't'
    ) AND NOT EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = %(table)s::regclass AND NOT tgisinternal
    )
"""
# Citus takes in a table that refers to a reference table, and gives it up with its last such
# reference. It can't if the table has an identity: no migration could remove the reference.
KEEP = """
    SELECT citus_add_local_table_to_metadata(logicalrelid)
    FROM pg_dist_partition JOIN pg_class ON pg_class.oid = logicalrelid
    WHERE autoconverted AND relnamespace = to_regnamespace(%s)
"""
# Of the tables of a schema: the next value of an identity, or of a sequence that a column owns, is
# as it would be if all rows had got theirs from it. Citus makes the identities of a table anew.
IDENTITIES = """
    SELECT format('%%I.%%I', nspname, relname), attname
    FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
    JOIN pg_namespace ON relnamespace = pg_namespace.oid
    JOIN pg_dist_partition ON logicalrelid = pg_class.oid
    WHERE nspname = %s AND attidentity <> '' AND NOT attisdropped
"""
NEXT = """
    SELECT setval(pg_get_serial_sequence(%s, %s), greatest(used, 1), used > 0) FROM (
        SELECT greatest(
            (SELECT coalesce(max({column}), 0) FROM {table}),
            (SELECT coalesce(last_value, 0) FROM pg_sequences
                WHERE format('%%I.%%I', schemaname, sequencename)::regclass
                    = pg_get_serial_sequence(%s, %s)::regclass)
        )
    ) AS id (used)
"""
RESET = re.compile(r"(?<=max\()(?P<column>[^)]+)(?P<rest>\) IS .*) FROM (?P<table>.+);")
RESET_HERE = (
    r"\g<column>\g<rest> FROM (SELECT max(\g<column>) AS \g<column> FROM \g<table>) AS own,"
    " pg_dist_local_group;"
)
# A node runs the function, and in it the query, in the transaction that writes there.
ON_NODE = """
    SELECT found.* FROM (
        SELECT query_to_xml(%s, false, false, '') FROM {own}.django_migrations LIMIT 1
    ) AS asked (answer), XMLTABLE(
        '//row' PASSING answer COLUMNS schema text, name text, count bigint
    ) AS found
"""
# What citus_schema_distribute refuses, and the owner's own apps may have.
LIMITS = """
    SELECT relname::text, format('the trigger %%I', tgname)
    FROM pg_trigger JOIN pg_class ON tgrelid = pg_class.oid
    WHERE relnamespace = to_regnamespace(%(schema)s) AND NOT tgisinternal
    UNION ALL
    SELECT own.relname, format('the foreign key %%I to %%s', conname, confrelid::regclass)
    FROM pg_constraint JOIN pg_class own ON own.oid = conrelid
    JOIN pg_class other ON other.oid = confrelid
    WHERE contype = 'f' AND conparentid = 0 AND own.relnamespace = to_regnamespace(%(schema)s)
        AND other.relnamespace <> own.relnamespace AND confrelid NOT IN (
            SELECT logicalrelid FROM pg_dist_partition WHERE partmethod = 'n' AND repmodel = 't'
        )
    ORDER BY 1, 2
"""


class Move(NamedTuple):
    schema_name: str
    source: str
    target: str
    size: int


def is_citus(connection=default) -> bool:
    """Return whether the server is a node of Citus."""
    connection.ensure_connection()
    return connection.is_citus


def messages(statements: list[str], separator: str = "\n", connection=default) -> list[str]:
    """Return the statements as the server takes them: all in one message, or one in each."""
    return statements if is_citus(connection) else [separator.join(statements)]


@contextmanager
def placed(schema_name: str) -> Iterator[None]:
    """Move the schema that the block makes to a node, in the caller's transaction.

    Where Citus refuses that, the schema stays on the coordinator, and `tenant_doctor` names it.
    """
    yield
    if is_citus():
        try:
            with transaction.atomic():
                distribute(schema_name)
        except DatabaseError as error:
            logger.warning(f"{schema_name} stays on the coordinator: {one_line(error)}")


def distribute(schema_name: str) -> None:
    """Move a schema from the coordinator to a node that Citus chooses, unless it is on one."""
    name = quote_schema_name(schema_name)
    with default.cursor() as cursor:
        if not ask(cursor, IS_DISTRIBUTED, [name]):
            cursor.execute("SELECT citus_schema_distribute(%s::regnamespace)", [name])


def lock_tables(schema_name: str) -> None:
    """Lock all tables of a schema against all others, in the caller's transaction."""
    with default.cursor() as cursor:
        for (statement,) in rows(cursor, LOCK, [quote_schema_name(schema_name)]):
            cursor.execute(statement)


@contextmanager
def begin_after(locks: list[str], table: str) -> Iterator[None]:
    """Begin a transaction that sees the database at one moment, and take the locks before it.

    Citus passes a lock on to the nodes in a statement that has a snapshot already, and so holds the
    locks by a transaction of its own there. A node's moment is its first query: one of `table`.
    """
    own = default.copy() if is_citus() else None
    try:
        if own:
            own.set_autocommit(False)
            with own.cursor() as cursor:
                for lock in locks:
                    cursor.execute(lock)
        with transaction.atomic(durable=True), default.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            for lock in [] if own else locks:
                cursor.execute(lock)
            if own:
                cursor.execute(f"SELECT FROM {table} LIMIT 1")
            yield
    finally:
        if own:
            own.close()


def make_reference_tables(connection, tables: Iterable[str]) -> list[str]:
    """Copy the shared tables to each node, and keep them equal; return those that weren't yet.

    A node joins them with its tenants' tables. Without that, the coordinator would send it all rows
    for each such query.
    """
    if not is_citus(connection):
        return []
    made = []
    public = get_public_schema_name()
    with transaction.atomic(connection.alias), connection.cursor() as cursor:
        for table in tables:
            name = f"{quote_schema_name(public)}.{connection.ops.quote_name(table)}"
            if ask(cursor, CAN_BE_REFERENCE, {"table": name}):
                cursor.execute("SELECT create_reference_table(%s)", [name])
                made.append(table)
        if made:
            continue_identities(cursor, public)
        cursor.execute(KEEP, [quote_schema_name(public)])
    return made


def continue_identities(cursor, schema_name: str) -> None:
    cursor.execute(IDENTITIES, [schema_name])
    for table, column in cursor.fetchall():
        statement = NEXT.format(table=table, column=quote_schema_name(column))
        cursor.execute(statement, [table, column] * 2)


def restart(sequence: str, value: int) -> str:
    """Return the statement after which the sequence's next value is `value`.

    Citus refuses the plain one, and its own isn't rolled back.
    """
    if is_citus():
        return f"SELECT setval('{sequence}', {value}, false)"
    return f"ALTER SEQUENCE {sequence} RESTART WITH {value}"


def violated(error) -> tuple[str | None, str | None]:
    """Return the table and the constraint or index of the driver's UniqueViolation.

    A node numbers both, and of what it says only the sentence arrives. The query that completes
    that needs an open transaction, or none, in which nothing has failed.
    """
    table, constraint = error.diag.table_name, error.diag.constraint_name
    if not is_citus():
        return table, constraint
    if not constraint and (found := re.search(r'"(.+)"', error.diag.message_primary)):
        constraint = found[1]
    constraint = without_shard(constraint or "")
    with default.cursor() as cursor:
        [(table,)] = rows(cursor, TABLE_OF_INDEX, [constraint]) or [(table,)]
    return table, constraint


def without_shard(name: str) -> str:
    """Return the name without the number that a node adds to it."""
    return re.sub(r"_\d{6,}\Z", "", name) if is_citus() else name


def count(query: str, schemas: list[str]) -> Counter:
    """Return what the query counts by schema and table, also on the nodes of the schemas.

    It selects `schema`, `name` and `count` of the schemas that are its parameter.
    """
    found = Counter()
    with default.cursor() as cursor:
        answers = [rows(cursor, query, [schemas])]
        if is_citus():
            text = default.ops.compose_sql(query, [schemas])
            for schema in {*schemas} - {get_public_schema_name()}:
                own = quote_schema_name(schema)
                answers.append(rows(cursor, ON_NODE.format(own=own), [text]))
    for schema, name, counted in chain(*answers):
        found[unquoted(schema), without_shard(name)] += counted
    return found


def resetting(statement: str) -> str:
    """Return Django's statement that resets a sequence, so that the coordinator resets it.

    A statement that reads nothing but a table is run by a node, which has no such sequence.
    """
    return RESET.sub(RESET_HERE, statement) if is_citus() else statement


def is_worker() -> bool:
    """Return whether the server is a node that isn't the coordinator."""
    if not is_citus():
        return False
    with default.cursor() as cursor:
        return ask(cursor, GROUP) != 0


def makes_schemas_on_nodes() -> bool:
    """Return whether Citus distributes each schema as soon as it is created."""
    with default.cursor() as cursor:
        return ask(cursor, "SHOW citus.enable_schema_based_sharding") == "on"


def nodes() -> list[str]:
    """Return the nodes that tenants can be on, as “host:port”."""
    with default.cursor() as cursor:
        cursor.execute(NODES)
        return [node for (node,) in cursor]


def places() -> dict[str, str]:
    """Return the node of each schema that is on one: none on a plain server."""
    if not is_citus():
        return {}
    with default.cursor() as cursor:
        cursor.execute(PLACES)
        return {unquoted(schema): node for schema, node in cursor}


def sizes() -> dict[str, int]:
    """Return how many bytes each schema has on its node. Citus asks all nodes."""
    if not is_citus():
        return {}
    with default.cursor() as cursor:
        cursor.execute(SIZES)
        return dict(cursor.fetchall())


def move(schema_name: str, node: str, *, blocks_writes: bool = False) -> None:
    """Move a schema to another node. It can be read and written to meanwhile.

    With `blocks_writes`, writes wait: a table without a primary key needs that.
    """
    host, _, port = node.rpartition(":")
    mode = "block_writes" if blocks_writes else "auto"
    with default.cursor() as cursor:
        cursor.execute(
            f"SELECT citus_schema_move(%s::regnamespace, %s, %s, '{mode}')",
            [quote_schema_name(schema_name), host, int(port)],
        )


def limits(schema_name: str) -> list[tuple[str, str]]:
    """Return what keeps a schema from moving to a node: a table, and what is at it."""
    with default.cursor() as cursor:
        cursor.execute(LIMITS, {"schema": quote_schema_name(schema_name)})
        return cursor.fetchall()


def plan_moves(places: dict[str, str], sizes: dict[str, int], nodes: list[str]) -> list[Move]:
    """Return moves after which the nodes hold about the same amount of `sizes`.

    Each takes from the fullest node to the emptiest what brings them closest. Nothing stays on a
    node that isn't among `nodes`.
    """
    on = {node: {} for node in nodes}
    moves = []

    def load(node: str) -> int:
        return sum(on[node].values())

    for schema, node in places.items():
        target = node if node in on else min(nodes, key=load)
        on[target][schema] = sizes.get(schema, 0)
        if target != node:
            moves.append(Move(schema, node, target, on[target][schema]))
    while True:
        fullest, emptiest = max(nodes, key=load), min(nodes, key=load)
        gap = load(fullest) - load(emptiest)
        fitting = {schema: size for schema, size in on[fullest].items() if 0 < size < gap}
        if not fitting:
            return moves
        schema = min(fitting, key=lambda each: abs(gap / 2 - fitting[each]))
        on[emptiest][schema] = on[fullest].pop(schema)
        moves.append(Move(schema, fullest, emptiest, on[emptiest][schema]))


def ask(cursor, query: str, parameters: list | dict | None = None):
    cursor.execute(query, parameters)
    return cursor.fetchone()[0]


def rows(cursor, query: str, parameters: list) -> list[tuple]:
    cursor.execute(query, parameters)
    return cursor.fetchall()


def unquoted(name: str) -> str:
    return name.strip('"').replace('""', '"')
