"""Whether the SQL that a migration was in one tenant is what it would be in another."""

import re
from collections.abc import Iterator

import sqlparse
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models, router
from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation
from django_tenants.routers import TenantSyncRouter

from tenancy.isolation.router import TenantRouter

# Exactly these: a subclass may do anything.
PLAIN = {
    AddConstraintNotValid,
    ValidateConstraint,
    migrations.AddConstraint,
    migrations.AddField,
    migrations.AddIndex,
    migrations.AlterConstraint,
    migrations.AlterModelManagers,
    migrations.AlterModelOptions,
    migrations.AlterModelTable,
    migrations.AlterModelTableComment,
    migrations.AlterOrderWithRespectTo,
    migrations.CreateModel,
    migrations.DeleteModel,
    migrations.RemoveConstraint,
    migrations.RemoveIndex,
    migrations.RenameField,
}
# These ask the database what a constraint or an index is called. Tenants with other names have
# drifted, unless SQL or Python earlier in the same plan gave the names.
ASKING = {
    migrations.AlterField,
    migrations.AlterIndexTogether,
    migrations.AlterUniqueTogether,
    migrations.RemoveField,
    migrations.RenameIndex,
}
CONSTANT = {bool, bytes, dict, float, int, list, set, str, tuple}
ROUTERS = {TenantRouter, TenantSyncRouter}

# How a statement of RunSQL may begin: these leave no trace in the session or the transaction.
STATEMENTS = re.compile(
    r"(ALTER|COMMENT|DELETE|DO|DROP|GRANT|INSERT|REVOKE|SELECT|TRUNCATE|UPDATE|WITH"
    r"|CREATE(?!\s+(?:GLOBAL\s+|LOCAL\s+)?TEMP|\s+EXTENSION))\b",
    re.IGNORECASE,
)


class ReplayPolicy:
    """Judges the migrations of one plan, in their order."""

    def __init__(self, alias: str):
        self.alias = alias
        self.names_are_known = True
        kinds = {type(each) for each in router.routers if hasattr(each, "allow_migrate")}
        self.routers = ", ".join(sorted(kind.__name__ for kind in kinds - ROUTERS))

    def reason_against(self, migration: Migration) -> str | None:
        """Return why the migration's SQL can't be replayed in another tenant; None if it can.

        The connection must be in a tenant's schema, since routers look at it.
        """
        if self.routers:
            return f"a router of its own, {self.routers}"
        if has_own_apply(migration):
            self.names_are_known = False
            return "a migration with an apply() of its own"
        label = migration.app_label
        # Each is asked: any may change which names are known.
        reasons = [self.reason_against_operation(each, label) for each in migration.operations]
        if not migration.atomic and self.is_run(label):
            reasons.append("atomic = False")
        return next(filter(None, reasons), None)

    def reason_against_operation(self, operation: Operation, app_label: str) -> str | None:
        kind, name = type(operation), type(operation).__name__
        if kind is migrations.SeparateDatabaseAndState:
            inner = operation.database_operations
            reasons = [self.reason_against_operation(each, app_label) for each in inner]
            return next(filter(None, reasons), None)
        if is_from_django(operation) and not self.is_run(app_label):
            return None  # an app that tenants don't have: Django does nothing, and records that
        if kind in ASKING and not self.names_are_known:
            return f"{name} after SQL or Python"
        if kind in PLAIN | ASKING:
            return reason_against_fields(operation)
        self.names_are_known = False
        if kind is not migrations.RunSQL:
            return name
        return None if is_plain(operation.sql) else "RunSQL of more than plain statements"

    def is_run(self, app_label: str) -> bool:
        return router.allow_migrate(self.alias, app_label)


def has_own_apply(migration: Migration) -> bool:
    return type(migration).apply is not Migration.apply


def is_about_its_app(migration: Migration) -> bool:
    """Return whether the migration changes only the tables of its app's models.

    SQL may change any table. So may a state that isn't as the database is.
    """
    return not has_own_apply(migration) and all(
        type(operation) in PLAIN | ASKING
        and "managed" not in (getattr(operation, "options", None) or {})
        for operation in migration.operations
    )


def is_from_django(thing: object) -> bool:
    return type(thing).__module__.partition(".")[0] == "django"


def reason_against_fields(operation: Operation) -> str | None:
    """Return why a field, index or constraint may differ between tenants: it isn't of a class of
    Django's, or Python gives it a value."""
    name = type(operation).__name__
    for part in parts(operation):
        if not is_from_django(part):
            return f"{name} with {type(part).__name__}"
    field = getattr(operation, "field", None)
    if field is None:  # a new table is empty, and needs no defaults
        return None
    if field.has_default() and callable(field.default) and field.default not in CONSTANT:
        return f"{name} with a callable default"
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return f"{name} with the current time"
    if type(operation) is migrations.AlterField and isinstance(field, models.AutoField):
        return f"{name} to a number that counts"
    return None


def parts(operation: Operation) -> Iterator[object]:
    """Yield the fields, indexes and constraints that the operation makes."""
    fields = [field for _, field in getattr(operation, "fields", None) or ()]
    if isinstance(operation, (migrations.AddField, migrations.AlterField)):
        fields.append(operation.field)
    options = getattr(operation, "options", None) or {}
    yield from (*fields, *options.get("indexes", ()), *options.get("constraints", ()))
    # What an array is of, what is generated, and what is added.
    inner = [getattr(field, at, None) for field in fields for at in ("base_field", "output_field")]
    added = [getattr(operation, at, None) for at in ("index", "constraint")]
    yield from filter(None, inner + added)


def texts(sql) -> list:
    """Return the texts in RunSQL's argument, without their parameters."""
    return [
        each[0] if isinstance(each, (list, tuple)) else each
        for each in (sql if isinstance(sql, (list, tuple)) else [sql])
    ]


def is_plain(sql) -> bool:
    """Return whether RunSQL's argument, texts with or without parameters, is of STATEMENTS."""
    return all(type(text) is str for text in texts(sql)) and all(
        STATEMENTS.match(statement.lstrip("( \n"))
        for text in texts(sql)
        for statement in sqlparse.split(sqlparse.format(text, strip_comments=True))
        if statement.strip(" \n;")
    )
