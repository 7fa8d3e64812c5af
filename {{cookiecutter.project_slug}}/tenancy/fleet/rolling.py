"""Which migrations break code that was deployed before them, and still runs while they do.

A migration is acknowledged by a line in its class: `breaks_running_code = False`.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator

from django.db import connection, migrations, router
from django.db.migrations import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import Field
from django_tenants.utils import schema_context

from tenancy.fleet.plan import Cohort
from tenancy.fleet.replay_policy import texts

BREAKING_SQL = re.compile(r"\b(DROP\s+(TABLE|COLUMN)|RENAME|SET\s+NOT\s+NULL)\b", re.IGNORECASE)


def breaking(cohorts: Iterable[Cohort]) -> dict[str, str]:
    """Return the names of migrations that a cohort lacks and that break running code, and how."""
    found: dict[str, str] = {}
    for cohort in cohorts:
        lacking = [step.migration for step in cohort.steps if step.migration]
        if cohort.error or cohort.by_django == "backwards" or not lacking:
            continue
        state = cohort.before.clone()
        vars(state).pop("apps", None)  # or each operation would render models
        alias = cohort.executor.connection.alias
        judge = Judge(state, lambda label, alias=alias: router.allow_migrate(alias, label))
        with schema_context(cohort.schemas[0]):  # the routers look at it
            for migration in lacking:
                reasons = [*judge.reasons(migration)]
                if reasons and getattr(migration, "breaks_running_code", True):
                    found.setdefault(str(migration), ", and ".join(reasons))
    return found


def lines(cohorts: Iterable[Cohort]) -> Iterator[str]:
    for name, how in breaking(cohorts).items():
        yield f"Warning: {name} breaks code that runs meanwhile: it {how}."


class Judge:
    """Goes through a plan's migrations in their order. Running code knows no table of theirs."""

    def __init__(self, state: ProjectState, is_run: Callable[[str], bool]):
        self.state = state
        self.is_run = is_run
        self.known = {*state.models}

    def reasons(self, migration: Migration) -> Iterator[str]:
        for operation in migration.operations:
            yield from self.reasons_of(operation, migration.app_label)

    def reasons_of(self, operation: Operation, label: str) -> Iterator[str]:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            after = self.state.clone()
            operation.state_forwards(label, after)
            for inner in operation.database_operations:  # which begin with the state before
                yield from self.reasons_of(inner, label)
            self.state = after
            return
        if self.is_run(label):
            yield from self.judge(operation, label)
        operation.state_forwards(label, self.state)
        if isinstance(operation, migrations.RenameModel):
            self.known.discard((label, operation.old_name_lower))

    def judge(self, operation: Operation, label: str) -> Iterator[str]:
        if isinstance(operation, migrations.RunSQL):
            for text in texts(operation.sql):
                if match := BREAKING_SQL.search(text):
                    yield f"has SQL with {' '.join(match[0].upper().split())}"
            return
        name = getattr(operation, "model_name_lower", getattr(operation, "name_lower", None))
        if isinstance(operation, migrations.RenameModel):
            name = operation.old_name_lower
        if (label, name) not in self.known:
            return
        model = self.state.models.get((label, name))
        if model is None or model.options.get("proxy") or not model.options.get("managed", True):
            return
        yield from reasons_against(operation, model)


def reasons_against(operation: Operation, model: ModelState) -> Iterator[str]:
    subject = f"{model.app_label}.{model.name}"
    match operation:
        case migrations.DeleteModel():
            yield f"drops the table of {subject}"
        case migrations.RenameModel() if "db_table" not in model.options:
            yield f"renames the table of {subject}"
        case migrations.AlterModelTable() if operation.table != model.options.get("db_table"):
            yield f"renames the table of {subject}"
        case migrations.RemoveField() if has_column(model.fields[operation.name]):
            yield f"drops the column of {subject}.{operation.name}"
        case migrations.RenameField():
            before = model.fields[operation.old_name]
            if has_column(before) and not before.db_column:
                yield f"renames the column of {subject}.{operation.old_name}"
        case migrations.AddField() if has_column(operation.field) and is_required(operation.field):
            yield f"adds {subject}.{operation.name}, which is not null and has no db_default"
        case migrations.AlterField():
            for change in changes(model.fields[operation.name], operation.field):
                yield f"{change} {subject}.{operation.name}"


def has_column(field: Field) -> bool:
    return not field.many_to_many


def is_required(field: Field) -> bool:
    """Return whether the database refuses a row without a value for the field.

    Django gives a default in Python to new rows only where the code knows the field.
    """
    made = getattr(field, "generated", False) or getattr(field, "db_returning", False)
    return not (field.null or made or field.has_db_default())


def changes(before: Field, after: Field) -> Iterator[str]:
    """Yield what an altered field no longer takes."""
    if not (has_column(before) and has_column(after)):
        if has_column(before) != has_column(after):
            yield "drops the column or the table of"
        return
    if before.db_column != after.db_column:
        yield "renames the column of"
    if before.null and is_required(after):
        yield "sets not null on"
    elif before.has_db_default() and is_required(after):
        yield "drops the db_default of"
    if kind(before) != kind(after):
        yield "changes the type of"
    elif kind(after) == "varchar" and length(after) < length(before):
        yield "shortens"


def length(field: Field) -> float:
    return field.max_length or math.inf


def kind(field: Field) -> str | None:
    """Return the column's type without its length."""
    if field.remote_field:  # its type is that of the key that it refers to
        return str(field.remote_field.model)
    return re.sub(r"\(.*", "", field.db_type(connection) or "")
