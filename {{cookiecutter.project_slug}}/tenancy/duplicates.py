"""What a unique violation is about."""

from django.apps import apps
from django.db import IntegrityError, connection
from django.db.backends.postgresql.psycopg_any import errors
from django.db.models import Model

from tenancy.database import citus


def duplicated(error: IntegrityError) -> tuple[type[Model], list[str]] | None:
    """Return the model and the names of the fields that another row has the values of.

    The constraint decides, which the database is asked for: call it after the rollback. The names
    are empty for a constraint without columns, as of Lower("name"). None if `error` is another one.
    """
    if not isinstance(error.__cause__, errors.UniqueViolation):
        return None
    table, constraint = citus.violated(error.__cause__)
    found = (
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.db_table == table
    )
    if (model := next(found, None)) is None:
        return None
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, table)
    columns = constraints.get(constraint, {}).get("columns") or []
    names = {field.column: field.name for field in model._meta.concrete_fields}
    return model, [names.get(column, column) for column in columns if column]
