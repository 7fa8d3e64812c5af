"""What the tables of a schema are like, so that schemas can be compared."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.migrations import Migration
from django.db.migrations.state import StateApps
from django_tenants.utils import app_labels

from tenancy.fleet.replay_policy import is_about_its_app
from tenancy.fleet.threads import read_in_threads
from tenancy.isolation.router import table_of

CHUNK = 1000

RELATIONS = """
    WITH relations AS MATERIALIZED (
        SELECT class.oid, nspname, relname, relkind
        FROM pg_class class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = ANY(%(schemas)s) AND relkind IN ('r', 'p', 'v', 'm', 'S')
            AND (%(tables)s::text[] IS NULL OR relname = ANY(%(tables)s))
    )
"""

# A number for each schema. Schemas with the same number have the same LINES; others may. It is the
# sum over what the catalog says, which takes a fifth of the time of PostgreSQL's own words. An oid
# of the schema's own, such as that of its function, makes the schema differ from all others.
SHAPES = r"""
    SELECT nspname, sum(hash_record_extended(part, 0)) FROM (
        SELECT nspname, ROW(text 'relation', relname, relkind) AS part FROM relations
        UNION ALL
        SELECT nspname, ROW(text 'column', relname, attnum, attname, atttypid, atttypmod,
            attcollation, attnotnull, attidentity, attgenerated, attisdropped)
        FROM relations JOIN pg_attribute ON attrelid = relations.oid
        WHERE attnum > 0 AND relkind IN ('r', 'p')
        UNION ALL
        SELECT nspname, ROW(text 'default', relname, adnum, {adbin})
        FROM relations JOIN pg_attrdef ON adrelid = relations.oid
        UNION ALL
        SELECT relations.nspname, ROW(text 'constraint', relations.relname, conname, contype,
            conkey, confkey, CASE WHEN other.relnamespace = connamespace THEN other.relname
                ELSE confrelid::text END,
            confupdtype, confdeltype, confmatchtype, confdelsetcols, condeferrable, condeferred,
            convalidated, connoinherit, conpfeqop, conexclop, {conbin}, {more})
        FROM relations JOIN pg_constraint ON conrelid = relations.oid
        LEFT JOIN pg_class other ON other.oid = confrelid
        WHERE contype NOT IN ('n', 't')
        UNION ALL
        SELECT nspname, ROW(text 'index', relations.relname, own.relname, own.relam, own.reloptions,
            indisunique, indnullsnotdistinct, indisvalid, indnkeyatts, indkey::int2[], indcollation,
            indclass, indoption::int2[], {indexprs}, {indpred})
        FROM relations JOIN pg_index ON indrelid = relations.oid
        JOIN pg_class own ON own.oid = indexrelid
        UNION ALL
        SELECT nspname, ROW(text 'options', own.relname, attnum, attoptions)
        FROM relations JOIN pg_index ON indrelid = relations.oid
        JOIN pg_class own ON own.oid = indexrelid
        JOIN pg_attribute ON attrelid = indexrelid AND attoptions IS NOT NULL
        UNION ALL
        SELECT nspname, ROW(text 'view', relname, ev_action::text)
        FROM relations JOIN pg_rewrite ON ev_class = relations.oid WHERE relkind IN ('v', 'm')
        UNION ALL
        SELECT nspname, ROW(text 'trigger', pg_trigger.oid)
        FROM relations JOIN pg_trigger ON tgrelid = relations.oid WHERE NOT tgisinternal
        UNION ALL
        SELECT nspname, ROW(text 'sequence', relname, seqtypid, seqincrement, seqmin, seqmax,
            seqcycle)
        FROM relations JOIN pg_sequence ON seqrelid = relations.oid
        UNION ALL
        SELECT nspname, ROW(text 'function', pg_proc.oid)
        FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
        WHERE nspname = ANY(%(schemas)s)
        UNION ALL
        SELECT nspname, ROW(text 'type', pg_type.oid)
        FROM pg_type JOIN pg_namespace ON pg_namespace.oid = typnamespace
        WHERE nspname = ANY(%(schemas)s) AND typtype IN ('d', 'e')
    ) _ GROUP BY nspname
"""
EXPRESSIONS = "adbin", "conbin", "indexprs", "indpred"

# What a schema has, a line for each thing, in PostgreSQL's own words without the schema's name.
# Columns go by their names: their numbers have holes where others were dropped.
LINES = r""",
    columns AS MATERIALIZED (
        SELECT relations.*, pg_attribute.*, pg_get_expr(adbin, adrelid) AS expression
        FROM relations JOIN pg_attribute ON attrelid = relations.oid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
    ),
    named (nspname, kind, relname, name, definition) AS (
        SELECT nspname, 'relation', relname::text, ''::text, relkind::text FROM relations
        UNION ALL
        SELECT nspname, 'column', relname, attname, concat_ws(
            ' ', format_type(atttypid, atttypmod),
            CASE WHEN attcollation <> typcollation
                THEN 'COLLATE ' || attcollation::regcollation END,
            CASE attgenerated WHEN 's' THEN format('GENERATED ALWAYS AS (%%s) STORED', expression)
                WHEN 'v' THEN format('GENERATED ALWAYS AS (%%s) VIRTUAL', expression) END
        )
        FROM columns JOIN pg_type ON pg_type.oid = atttypid
        UNION ALL
        SELECT nspname, 'identity', relname, attname, CASE attidentity
            WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' ELSE 'GENERATED ALWAYS AS IDENTITY' END
        FROM columns WHERE attidentity <> ''
        UNION ALL
        SELECT nspname, 'not null', relname, attname, 'NOT NULL' FROM columns WHERE attnotnull
        UNION ALL
        SELECT nspname, 'default', relname, attname, expression
        FROM columns WHERE attgenerated = '' AND expression IS NOT NULL
        UNION ALL
        SELECT nspname, 'constraint', relname, conname, pg_get_constraintdef(pg_constraint.oid)
        FROM relations JOIN pg_constraint ON conrelid = relations.oid
        WHERE contype NOT IN ('n', 't')
        UNION ALL
        SELECT nspname, 'index', relations.relname, own.relname,
            replace(
                pg_get_indexdef(indexrelid), format(' %%I ON ', own.relname), ' ON '
            ) || CASE WHEN indisvalid THEN '' ELSE ' (invalid)' END
        FROM relations JOIN pg_index ON indrelid = relations.oid
        JOIN pg_class own ON own.oid = indexrelid
        UNION ALL
        SELECT nspname, 'view', relname, '', pg_get_viewdef(oid)
        FROM relations WHERE relkind IN ('v', 'm')
        UNION ALL
        SELECT nspname, 'trigger', relname, tgname,
            pg_get_triggerdef(pg_trigger.oid)
                || CASE tgenabled WHEN 'D' THEN ' (disabled)' ELSE '' END
        FROM relations JOIN pg_trigger ON tgrelid = relations.oid
        WHERE NOT tgisinternal
        UNION ALL
        SELECT nspname, 'sequence', relname, '', concat_ws(
            ' ', seqtypid::regtype, seqincrement, seqmin, seqmax, seqcycle
        )
        FROM relations JOIN pg_sequence ON seqrelid = oid
        UNION ALL
        SELECT nspname, 'function', '', oid::regprocedure::text,
            CASE WHEN prokind = 'a' THEN '' ELSE pg_get_functiondef(oid) END
        FROM (
            SELECT pg_proc.*, nspname
            FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
            WHERE nspname = ANY(%(schemas)s) AND %(tables)s::text[] IS NULL AND NOT EXISTS (
                SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass
                    AND objid = pg_proc.oid AND deptype = 'e'
            )
        ) own
        UNION ALL
        SELECT nspname, 'type', '', typname, coalesce(
            (SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder) FROM pg_enum
                WHERE enumtypid = pg_type.oid),
            concat_ws(' ', format_type(typbasetype, typtypmod), typdefault)
        )
        FROM pg_type JOIN pg_namespace ON pg_namespace.oid = typnamespace
        WHERE nspname = ANY(%(schemas)s) AND %(tables)s::text[] IS NULL AND typtype IN ('d', 'e')
    ),
    lines AS (
        SELECT nspname, kind, relname,
            replace(replace(name, quote_ident(nspname) || '.', 'own.'), bare, 'own') AS name,
            -- A restored dump has the cast of a list of texts at each of them.
            regexp_replace(
                regexp_replace(
                    replace(replace(definition, quote_ident(nspname) || '.', 'own.'), bare, 'own'),
                    $$\(('(?:[^']|'')*'::character varying)\)::text$$, $$\1$$, 'g'
                ),
                $$\((ARRAY\[[^]]*\])\)::text\[\]$$, $$\1$$, 'g'
            ) AS definition
        -- A function's text may name a tenant's schema. The word “public” can mean anything.
        FROM named, LATERAL (SELECT CASE WHEN nspname ~ '[-_]' THEN nspname ELSE '' END) _ (bare)
    )
"""
FINGERPRINTS = """
    SELECT nspname, sum(hashtextextended(concat_ws(' ', kind, relname, name, definition), 0))
    FROM lines GROUP BY nspname
"""
EACH = "SELECT nspname, kind, relname, name, definition FROM lines"


class Line(NamedTuple):
    """What a schema has: `definition` doesn't contain its name, nor the schema's."""

    kind: str
    table: str
    name: str
    definition: str


def tables_concerned(migrations: Iterable[Migration], *states: StateApps) -> list[str] | None:
    """Return the tables that the migrations may depend on, in schemas that are as the states say.

    These are their apps' tables and all that refer to them, directly or not: Django looks there for
    the names of constraints and indexes, and nowhere else. None means all tables.
    """
    in_tenants = app_labels(settings.TENANT_APPS)  # other apps' migrations do nothing in a tenant
    migrations = [migration for migration in migrations if migration.app_label in in_tenants]
    if not all(map(is_about_its_app, migrations)):
        return None
    labels = {migration.app_label for migration in migrations}
    models = [model for apps in states for model in apps.get_models(include_auto_created=True)]
    more = {table_of(model) for model in models if model._meta.app_label in labels}
    tables = set()
    while more:
        tables |= more
        more = {
            table_of(model)
            for model in models
            for field in model._meta.local_fields
            if field.related_model and table_of(field.related_model) in tables
        } - tables
    return list(tables)


def fingerprints(
    connection, schemas: Iterable[str], tables: list[str] | None = None
) -> dict[str, object]:
    """Return a value for each schema that has tables, the same for schemas that are alike.

    With `tables`, only those are compared.
    """

    def read(connection, schemas):
        return ask(connection, shapes_query(connection), schemas, tables, len(schemas))

    schemas, alike = [*schemas], defaultdict(list)
    for schema, shape in read_in_threads(connection, read, schemas):
        alike[shape].append(schema)
    first = [group[0] for group in alike.values()]
    prints = dict(ask(connection, LINES + FINGERPRINTS, first, tables))
    return {
        schema: prints[group[0]]
        for group in alike.values()
        if group[0] in prints
        for schema in group
    }


def shapes_query(connection) -> str:
    """Return the query SHAPES for the server's version."""
    # Before version 17 an expression says at which characters of its statement it stood.
    without_places = r"regexp_replace({0}::text, ':location -?\d+', '', 'g')"
    expressions = {name: without_places.format(name) for name in EXPRESSIONS}
    more = "conenforced, conperiod" if connection.pg_version >= 180000 else "NULL::bool"
    return SHAPES.format(**expressions, more=more)


def lines(connection, schema: str) -> set[Line]:
    return {Line(*line) for _, *line in ask(connection, LINES + EACH, [schema])}


def ask(
    connection,
    query: str,
    schemas: Iterable[str],
    tables: list[str] | None = None,
    chunk: int = CHUNK,
) -> list:
    """Return the rows of a query over RELATIONS of the schemas, so many schemas at once."""
    schemas, query, found = list(schemas), RELATIONS + query, []
    with (
        transaction.atomic(connection.alias),
        connection.wrap_database_errors,
        connection.unguarded_cursor() as cursor,  # others would set the tenant's search_path
    ):
        # With an empty path every name gets its schema. To compile the queries would take longer.
        cursor.execute("SET LOCAL search_path = ''; SET LOCAL jit = off")
        cursor.execute("SET LOCAL work_mem = '64MB'")
        for start in range(0, len(schemas), chunk):
            some = schemas[start : start + chunk]
            cursor.execute(query, {"schemas": some, "tables": tables})
            found.extend(cursor.fetchall())
        transaction.set_rollback(True, connection.alias)  # of the settings
    return found
