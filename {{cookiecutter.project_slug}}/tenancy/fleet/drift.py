"""What the tables of a schema are like, so that schemas can be compared."""

from collections.abc import Iterable

from django.conf import settings
from django.db import transaction
from django.db.migrations import Migration
from django.db.migrations.state import StateApps
from django_tenants.utils import app_labels

from tenancy.fleet.replay_policy import is_about_its_app

CHUNK = 1000

# Columns go by their names: their numbers have holes where others were dropped.
FINGERPRINTS = """
    WITH relations AS MATERIALIZED (
        SELECT class.oid, nspname, relname, relkind
        FROM pg_class class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = ANY(%s) AND relkind IN ('r', 'p', 'v', 'm', 'S')
            AND (%s::text[] IS NULL OR relname = ANY(%s))
    ),
    lines AS (
        SELECT nspname, concat_ws(' ', relname, relkind) AS line FROM relations
        UNION ALL
        SELECT nspname, concat_ws(
            ' ', relname, attname, format_type(atttypid, atttypmod), attcollation, attnotnull,
            attidentity, attgenerated, pg_get_expr(adbin, adrelid)
        )
        FROM relations JOIN pg_attribute ON attrelid = relations.oid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT nspname, concat_ws(' ', relname, conname, pg_get_constraintdef(pg_constraint.oid))
        FROM relations JOIN pg_constraint ON conrelid = relations.oid
        WHERE contype <> 'n'
        UNION ALL
        SELECT nspname, concat_ws(' ', indisvalid, pg_get_indexdef(indexrelid))
        FROM relations JOIN pg_index ON indrelid = relations.oid
    )
    SELECT nspname, sum(hashtextextended(replace(line, quote_ident(nspname) || '.', 'own.'), 0))
    FROM lines GROUP BY nspname
"""


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
    """Return a value for each schema that has tables, the same for schemas that are alike.

    With `tables`, only those are compared.
    """
    schemas, found = list(schemas), {}
    with (
        transaction.atomic(connection.alias),
        connection.wrap_database_errors,
        connection.unguarded_cursor() as cursor,  # others would set the tenant's search_path
    ):
        # With an empty path every name gets its schema. To compile the queries would take longer.
        cursor.execute("SET LOCAL search_path = ''; SET LOCAL jit = off")
        for start in range(0, len(schemas), CHUNK):
            cursor.execute(FINGERPRINTS, [schemas[start : start + CHUNK], tables, tables])
            found.update(cursor.fetchall())
        transaction.set_rollback(True, connection.alias)  # of the settings
    return found
