"""What the tables of a schema are like, so that two can be compared."""

from collections.abc import Iterable

from django.conf import settings
from django.db import transaction
from django.db.migrations import Migration
from django.db.migrations.state import StateApps
from django_tenants.utils import app_labels

from tenancy.fleet.replay_policy import is_about_its_app

CHUNK = 1000

# Columns go by their names, for their numbers have holes where others were dropped. No expression
# has the schema's own name in it, which PostgreSQL writes where it isn't on the search_path.
FINGERPRINTS = """
    WITH
    namespaces AS (
        SELECT oid, nspname, quote_ident(nspname) || '.' AS prefix
        FROM pg_namespace WHERE nspname = ANY(%s)
    ),
    relations AS MATERIALIZED (
        SELECT class.oid, relname, relkind, relnamespace, prefix
        FROM pg_class class JOIN namespaces ON namespaces.oid = relnamespace
        WHERE relkind IN ('r', 'p', 'v', 'm', 'S')
            AND (%s::text[] IS NULL OR relname = ANY(%s))
    ),
    columns AS MATERIALIZED (
        SELECT pg_attribute.*, relname, relnamespace, prefix
        FROM pg_attribute JOIN relations ON relations.oid = attrelid
        WHERE relkind IN ('r', 'p') AND attnum > 0
    ),
    tables AS MATERIALIZED (
        SELECT attrelid AS oid, relname, relnamespace, prefix,
            array_agg(attname::text ORDER BY attnum) AS names
        FROM columns GROUP BY 1, 2, 3, 4
    ),
    lines AS (
        SELECT relnamespace, concat_ws(' ', 'relation', relname, relkind) AS line FROM relations
        UNION ALL
        SELECT relnamespace, concat_ws(
            ' ', 'column', relname, attname, typname, typnamespace = relnamespace, atttypmod,
            attcollation, attnotnull, attidentity, attgenerated,
            replace(pg_get_expr(adbin, adrelid), prefix, '')
        )
        FROM columns
        JOIN pg_type ON pg_type.oid = atttypid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE NOT attisdropped
        UNION ALL
        SELECT tables.relnamespace, concat_ws(
            ' ', 'constraint', tables.relname, conname, contype, condeferrable, condeferred,
            convalidated, confupdtype, confdeltype, confmatchtype,
            CASE WHEN conkey[2] IS NULL THEN tables.names[conkey[1]] ELSE (
                SELECT string_agg(tables.names[number], ',' ORDER BY place)
                FROM unnest(conkey) WITH ORDINALITY key (number, place)
            ) END,
            target.relname, target.relnamespace = tables.relnamespace,
            (SELECT attname FROM pg_attribute WHERE attrelid = confrelid AND attnum = confkey[1]),
            replace(pg_get_expr(conbin, conrelid), tables.prefix, '')
        )
        FROM pg_constraint
        JOIN tables ON tables.oid = conrelid
        LEFT JOIN pg_class target ON target.oid = confrelid
        WHERE contype <> 'n'
        UNION ALL
        SELECT tables.relnamespace, concat_ws(
            ' ', 'index', tables.relname, class.relname, relam, reloptions, indisunique,
            indisprimary, indisvalid, indclass, indcollation, indoption,
            CASE WHEN indnatts = 1 THEN names[indkey[0]] ELSE (
                SELECT string_agg(coalesce(names[number], ''), ',' ORDER BY place)
                FROM unnest(indkey::int2[]) WITH ORDINALITY key (number, place)
            ) END,
            replace(pg_get_expr(indexprs, indrelid), prefix, ''),
            replace(pg_get_expr(indpred, indrelid), prefix, '')
        )
        FROM pg_index
        JOIN tables ON tables.oid = indrelid
        JOIN pg_class class ON class.oid = indexrelid
    )
    SELECT nspname, sum(hashtextextended(line, 0))
    FROM lines JOIN pg_namespace ON pg_namespace.oid = relnamespace
    GROUP BY nspname
"""


def concerned(migrations: Iterable[Migration], apps: StateApps) -> list[str] | None:
    """The tables that what the migrations do may depend on, in a schema that is as `apps` says.

    They are their apps' and those that refer to them, on and on: Django asks what constraints and
    indexes are called there, and nowhere else. None is for all tables, where that isn't certain.
    """
    of_tenants = app_labels(settings.TENANT_APPS)  # those of other apps do nothing in a tenant
    migrations = [migration for migration in migrations if migration.app_label in of_tenants]
    if not all(map(is_about_its_app, migrations)):
        return None
    labels = {migration.app_label for migration in migrations}
    models = apps.get_models(include_auto_created=True)
    more = {model._meta.db_table for model in models if model._meta.app_label in labels}
    tables = set()
    while more:
        tables |= more
        more = {
            model._meta.db_table
            for model in models
            for field in model._meta.local_fields
            if field.related_model and field.related_model._meta.db_table in tables
        } - tables
    return list(tables)


def fingerprints(
    connection, schemas: Iterable[str], tables: list[str] | None = None
) -> dict[str, object]:
    """For each schema that has tables a value, which is the same for those that are alike.

    Where `tables` are given, nothing else is looked at.
    """
    schemas, found = list(schemas), {}
    with transaction.atomic(connection.alias), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")  # it would take longer than the queries
        for start in range(0, len(schemas), CHUNK):
            cursor.execute(FINGERPRINTS, [schemas[start : start + CHUNK], tables, tables])
            found.update(cursor.fetchall())
    return found
