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
# These ask the database what a constraint or an index is called. Tenants whose names differ have
# drifted; but the names may also be news, from SQL or Python that came before in the same plan.
ASKING = {
    migrations.AlterField,
    migrations.AlterIndexTogether,
    migrations.AlterUniqueTogether,
    migrations.RemoveField,
    migrations.RenameIndex,
}
if hasattr(migrations, "AlterConstraint"):  # Django 5.2
    PLAIN.add(migrations.AlterConstraint)

CONSTANT = {bool, bytes, dict, float, int, list, set, str, tuple}
ROUTERS = {TenantRouter, TenantSyncRouter}

# What a statement of RunSQL may begin with: what leaves no trace in the session or the transaction.
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
        """Why the migration's SQL can't be replayed in another tenant; None where it can.

        The connection must be in a tenant's schema: the routers look.
        """
        if self.routers:
            return f"a router of its own, {self.routers}"
        if has_own_apply(migration):
            self.names_are_known = False
            return "a migration with an apply() of its own"
        reasons = [
            reason
            for operation in migration.operations
            if (reason := self.reason_against_operation(operation, migration.app_label))
        ]
        if not migration.atomic and self.is_run(migration.app_label):
            reasons.append("atomic = False")
        return reasons[0] if reasons else None

    def is_run(self, app_label: str) -> bool:
        return router.allow_migrate(self.alias, app_label)

    def reason_against_operation(self, operation: Operation, app_label: str) -> str | None:
        kind, name = type(operation), type(operation).__name__
        if kind is migrations.SeparateDatabaseAndState:
            inner = [
                self.reason_against_operation(each, app_label)
                for each in operation.database_operations
            ]
            return next(filter(None, inner), None)
        if is_from_django(operation) and not self.is_run(app_label):
            return None  # an app that tenants haven't got: Django does nothing, and records that
        if kind is migrations.RunSQL:
            self.names_are_known = False
            return (
                None
                if all(map(is_plain, texts(operation.sql)))
                else "RunSQL of more than plain statements"
            )
        if kind in ASKING:
            return (
                None if self.names_are_known else f"{name} after SQL or Python"
            ) or reason_against_fields(operation)
        if kind in PLAIN:
            return reason_against_fields(operation)
        self.names_are_known = False
        return name


def has_own_apply(migration: Migration) -> bool:
    return type(migration).apply is not Migration.apply


def is_about_its_app(migration: Migration) -> bool:
    """Whether it does nothing to tables but to those of its app's models.

    SQL may be about any table, and so may a state that says otherwise than the database.
    """
    return not has_own_apply(migration) and all(
        type(operation) in PLAIN | ASKING
        and "managed" not in (getattr(operation, "options", None) or {})
        for operation in migration.operations
    )


def is_from_django(thing: object) -> bool:
    return type(thing).__module__.partition(".")[0] == "django"


def reason_against_fields(operation: Operation) -> str | None:
    """Why what the operation is about is no class of Django's, or asks for a value."""
    name = type(operation).__name__
    for part in parts(operation):
        if not is_from_django(part):
            return f"{name} with {type(part).__name__}"
    field = getattr(operation, "field", None)
    if field is None:  # a table that is new is empty, and needs no defaults
        return None
    if field.has_default() and callable(field.default) and field.default not in CONSTANT:
        return f"{name} with a callable default"
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return f"{name} with the current time"
    if type(operation) is migrations.AlterField and isinstance(field, models.AutoField):
        return f"{name} to a number that counts"
    return None


def parts(operation: Operation) -> Iterator[object]:
    """The fields, indexes and constraints that are made."""
    options = getattr(operation, "options", None) or {}
    fields = [field for _, field in getattr(operation, "fields", None) or ()]
    if isinstance(operation, (migrations.AddField, migrations.AlterField)):
        fields.append(operation.field)
    for field in fields:
        yield field
        # What an array is of, and what is generated.
        yield from filter(None, (getattr(field, at, None) for at in ("base_field", "output_field")))
    yield from (*options.get("indexes", ()), *options.get("constraints", ()))
    yield from filter(None, (getattr(operation, at, None) for at in ("index", "constraint")))


def texts(sql) -> list[str]:
    """The texts of RunSQL: one, or a list of texts and of texts with parameters."""
    if isinstance(sql, (list, tuple)):
        return [each[0] if isinstance(each, (list, tuple)) else each for each in sql]
    return [sql]


def is_plain(sql: str) -> bool:
    if type(sql) is not str:
        return False
    statements = sqlparse.split(sqlparse.format(sql, strip_comments=True))
    return all(STATEMENTS.match(text.lstrip("( \n")) for text in statements if text.strip(" \n;"))
