"""A schema described by PostgreSQL's catalog, so that two can be compared."""

from django.db import connection
from django_tenants.utils import quote_schema_name
from tenancy.schemas.ddl import FORMER

PURGED = """
    SELECT obj_description(to_regnamespace(%(name)s), 'pg_namespace') = %(comment)s
        AND NOT EXISTS (
            SELECT FROM pg_class
            WHERE relnamespace = to_regnamespace(%(name)s) AND relkind <> 'c'
        )
        AND NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace = to_regnamespace(%(name)s))
"""
# What each query selects must not depend on the order in which things were made.
CATALOG = {
    "columns": """
        SELECT relname, relkind, relpersistence, reloptions, relrowsecurity, relreplident, relacl,
            attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
            pg_get_expr(adbin, adrelid), attstorage, attstattarget, attacl, collname,
            col_description(pg_class.oid, attnum), obj_description(pg_class.oid, 'pg_class')
        FROM pg_class
        JOIN pg_attribute ON attrelid = pg_class.oid AND NOT attisdropped AND attnum > 0
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        LEFT JOIN pg_collation ON pg_collation.oid = attcollation
        WHERE relnamespace = %s::regnamespace
    """,
    "constraints": """
        SELECT conname, conrelid::regclass::text, contypid::regtype::text, convalidated,
            pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')
        FROM pg_constraint WHERE connamespace = %s::regnamespace
    """,
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname::regnamespace = %s::regnamespace",
    "sequences": """
        SELECT * FROM pg_sequences WHERE schemaname::regnamespace = %s::regnamespace
    """,
    "views": """
        SELECT relname, pg_get_viewdef(oid)
        FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace = %s::regnamespace
    """,
    "rules": """
        SELECT definition FROM pg_rules WHERE schemaname::regnamespace = %s::regnamespace
    """,
    "policies": "SELECT * FROM pg_policies WHERE schemaname::regnamespace = %s::regnamespace",
    "triggers": """
        SELECT pg_get_triggerdef(pg_trigger.oid), tgenabled,
            obj_description(pg_trigger.oid, 'pg_trigger')
        FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE NOT tgisinternal AND relnamespace = %s::regnamespace
    """,
    "functions": """
        SELECT CASE WHEN prokind <> 'a' THEN pg_get_functiondef(oid) ELSE proname::text END,
            pg_get_function_arguments(oid), obj_description(oid, 'pg_proc')
        FROM pg_proc WHERE pronamespace = %s::regnamespace
    """,
    "types": """
        SELECT typname, typtype, typnotnull, typdefault, obj_description(pg_type.oid, 'pg_type'),
            array_agg(enumlabel ORDER BY enumsortorder)
        FROM pg_type LEFT JOIN pg_enum ON enumtypid = pg_type.oid
        WHERE typnamespace = %s::regnamespace GROUP BY pg_type.oid
    """,
    "operators": "SELECT oprname, oprcode FROM pg_operator WHERE oprnamespace = %s::regnamespace",
    "collations": """
        SELECT collname, collprovider, collcollate
        FROM pg_collation WHERE collnamespace = %s::regnamespace
    """,
    "statistics": """
        SELECT pg_get_statisticsobjdef(oid)
        FROM pg_statistic_ext WHERE stxnamespace = %s::regnamespace
    """,
    "inheritance": """
        SELECT inhrelid::regclass::text, inhparent::regclass::text,
            pg_get_expr(relpartbound, pg_class.oid)
        FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE relnamespace = %s::regnamespace
    """,
}
TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p', 'm') AND relnamespace = %s::regnamespace
"""


def describe(schema_name: str) -> dict[str, list[str]]:
    """All that is in the schema, its rows too, but when migrations were applied."""
    own = quote_schema_name(schema_name)
    with connection.cursor() as cursor:

        def ask(sql, *parameters):
            cursor.execute(sql, parameters)
            return sorted(str(tuple(map(anonymous, row))) for row in cursor)

        def anonymous(value):
            if not isinstance(value, str):
                return value
            return value.replace(own, "own").replace(schema_name, "own")

        found = {what: ask(sql, own) for what, sql in CATALOG.items()}
        cursor.execute(TABLES, [own])
        for (table,) in cursor.fetchall():
            rows = f"SELECT to_jsonb(t) - 'applied' FROM {own}.{quote_schema_name(table)} t"  # noqa: S608
            found[f"rows of {table}"] = ask(rows)
    return found


def is_purged(schema_name: str) -> bool:
    """Whether nothing is left under the name but what gives an error to whoever looks there."""
    with connection.cursor() as cursor:
        cursor.execute(PURGED, {"name": quote_schema_name(schema_name), "comment": FORMER})
        return cursor.fetchone()[0]
