"""Compares schemas with what their recorded migrations make.

For a tenant that has this code's migrations the blueprint says what that is. For public, and for a
tenant that lacks migrations, the migrations' models say it: all but names, and what SQL has made.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.core.checks import CheckMessage
from django.db import connection, router, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model
from django.utils.text import Truncator
from django_tenants.postgresql_backend.base import original_backend
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context

from tenancy.exceptions import one_line
from tenancy.fleet import drift, plan
from tenancy.fleet.drift import Line
from tenancy.fleet.plan import Cohort, Key
from tenancy.health.findings import finding
from tenancy.isolation.router import table_of
from tenancy.schemas import blueprint, dump
from tenancy.schemas.ddl import create_schema

PUBLIC = get_public_schema_name()
MAX_NAMES = 5
PARTS = {"default", "identity", "not null"}  # of a column
OF_MODELS = {"column", "constraint", "index"} | PARTS
WITH_OTHER_NAMES = {"constraint", "index"}  # do the same


def read_cohorts(schemas: Iterable[str]) -> list[Cohort]:
    """Return the cohorts of schemas with the same recorded migrations. Raises CommandError."""
    cohorts, _ = plan.make(connection, [*schemas], {})
    return cohorts


def expected_tables(cohort: Cohort) -> dict[str, str]:
    """Return the tables that the cohort's recorded migrations create, and the app of each."""
    models = models_in(cohort, include_auto_created=True)
    records = MigrationRecorder.Migration._meta
    return {records.db_table: records.app_label} | {
        table_of(each): each._meta.app_label for each in models
    }


def models_in(cohort: Cohort, **options) -> list[type[Model]]:
    with schema_context(cohort.schemas[0]):  # routers look at it
        return [
            model
            for model in cohort.before.apps.get_models(**options)
            if router.allow_migrate_model(connection.alias, model)
            and model._meta.can_migrate(connection)
        ]


def compare(cohort: Cohort) -> Iterator[CheckMessage]:
    """Yield what the recorded migrations of the cohort's schemas don't explain."""
    if unknown := unknown_records(cohort):
        message = f"records migrations that the code lacks: {some(map('.'.join, unknown))}."
        labels = " ".join(sorted({app for app, _ in unknown}))
        for schema in cohort.schemas:
            yield finding("W115", message, schema, apps=labels)
    lacking = [str(step) for step in cohort.steps if step.migration]
    try:
        unrecorded, differences = read(cohort, bool(lacking))
    except Exception as error:  # a model may not be creatable, or the database be a replica
        yield finding("W114", f"can't be compared: {one_line(error)}.", cohort.schemas[0])
        return
    for schema in cohort.schemas:
        if schema in unrecorded:
            yield finding("E111", f"made, but not recorded: {some(lacking)}.", schema)
        elif lacking:
            yield finding("W112", f"lacks migrations: {some(lacking)}.", schema)
    for schemas, difference in differences:
        for schema in schemas:
            yield from difference.findings(schema)


def unknown_records(cohort: Cohort) -> list[Key]:
    """Return the recorded migrations that the code doesn't have, nor a squashed one replaces."""
    loader = cohort.executor.loader
    replaced = {key for each in loader.disk_migrations.values() for key in each.replaces}
    return sorted(loader.applied_migrations.keys() - loader.disk_migrations.keys() - replaced)


def read(cohort: Cohort, is_lacking: bool) -> tuple[set[str], list]:
    """Return the schemas whose migrations are made but not recorded, and what differs in which."""
    schemas, unrecorded = [*cohort.schemas], set()
    if schemas[0] != PUBLIC and blueprint.is_usable():
        prints = drift.fingerprints(connection, schemas)
        with scratch(*blueprint.load()) as name:
            prints |= drift.fingerprints(connection, [name])
            if not is_lacking:
                return unrecorded, list(differences(name, schemas, prints, is_exact=True))
            unrecorded = {schema for schema in schemas if prints.get(schema) == prints[name]}
            schemas = [schema for schema in schemas if schema not in unrecorded]
    with scratch() as name:
        create_models(name, cohort)
        prints = drift.fingerprints(connection, schemas)
        return unrecorded, list(differences(name, schemas, prints, is_exact=False))


@contextmanager
def scratch(template_name: str = "", statements: list[str] = ()) -> Iterator[str]:
    """Make a schema, from a blueprint or empty, that is gone after the block; yield its name."""
    name = blueprint.new_name()
    with transaction.atomic(connection.alias):
        if statements:
            dump.replay(statements, template_name, name)
        else:
            create_schema(name)
        yield name
        transaction.set_rollback(True, connection.alias)


def create_models(name: str, cohort: Cohort) -> None:
    """Make the tables of the cohort's models in the schema."""
    # The engine's editor would leave out keys to shared tables, as in a tenant.
    plain = original_backend.DatabaseWrapper.SchemaEditorClass
    editor_class = plain if cohort.schemas[0] == PUBLIC else connection.SchemaEditorClass
    models = models_in(cohort)
    with schema_context(name), connection.cursor() as cursor:
        with editor_class(connection, collect_sql=True) as editor:
            for model in models:
                editor.create_model(model)
        cursor.execute("\n".join(editor.collected_sql))


def differences(
    name: str, schemas: list[str], prints: dict, *, is_exact: bool
) -> Iterator[tuple[list[str], "Difference"]]:
    """Yield the schemas that differ from the one of the name, those that are alike together."""
    alike = defaultdict(list)
    for schema in schemas:
        if schema in prints and prints[schema] != prints.get(name):
            alike[prints[schema]].append(schema)
    expected = drift.lines(connection, name)
    if schemas == [PUBLIC]:  # its own types are none of another schema's there
        expected = {
            line._replace(definition=line.definition.replace(f"{PUBLIC}.", "own."))
            for line in expected
        }
    for group in alike.values():
        found = drift.lines(connection, group[0])
        yield group, Difference(expected, found, is_exact=is_exact)


class Difference:
    """What a schema lacks, and has besides.

    A table that is missing, or besides, is left to the doctor. If the expectation isn't exact, only
    OF_MODELS are compared, and what is besides doesn't count.
    """

    def __init__(self, expected: set[Line], found: set[Line], *, is_exact: bool):
        tables = {line.table for line in expected & found if line.kind == "relation"} | {""}
        kinds = {line.kind for line in expected | found} - {"relation", "sequence"}

        def compared(lines: set[Line]) -> set[Line]:
            return {
                line
                for line in lines
                if line.table in tables and line.kind in (kinds if is_exact else OF_MODELS)
            }

        def anonymous(line: Line) -> Line:
            return line._replace(name="") if line.kind in WITH_OTHER_NAMES else line

        expected, found = compared(expected), compared(found)
        known, there = set(map(anonymous, expected)), set(map(anonymous, found))
        self.missing = sorted(line for line in expected if anonymous(line) not in there)
        self.besides = sorted(line for line in found - expected if anonymous(line) not in known)
        self.renamed = sorted(line for line in found - expected if anonymous(line) in known)
        self.is_exact = is_exact

    def findings(self, schema: str) -> Iterator[CheckMessage]:
        others = {line[:3]: line for line in self.besides}
        columns = {line[1:3] for line in self.missing if line.kind == "column"} - {
            line[1:3] for line in self.besides
        }
        constraints = {line[1:3] for line in self.missing if line.kind == "constraint"}
        texts, statements = [], []
        for line in self.missing:
            # A column is added with its parts; a constraint comes with its index.
            if line.kind in PARTS and line[1:3] in columns:
                continue
            if line.kind == "index" and line[1:3] in constraints:
                continue
            other = others.pop(line[:3], None)
            texts.append(f"{what(line)} is {other.definition}" if other else what(line))
            more = {each.kind: each.definition for each in self.missing if each[1:3] == line[1:3]}
            statements.append(statement(line, other, more, quote_schema_name(schema)))
        if texts:
            command = "dbshell" if schema == PUBLIC else f"tenant_command dbshell --schema {schema}"
            yield finding(
                *("E110", f"lacks what its migrations make: {some(texts)}.", schema),
                command=command,
                statements=" ".join(statements),
            )
        if self.is_exact and others:
            yield finding("W113", f"has besides: {some(map(what, others.values()))}.", schema)
        if self.is_exact and self.renamed:
            texts = map(what, self.renamed)
            yield finding("W113", f"has under other names: {some(texts)}.", schema)


def some(names: Iterable[str]) -> str:
    """Return the first few names, and how many more there are."""
    names = [*names]
    more = len(names) - MAX_NAMES
    return "; ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def what(line: Line) -> str:
    name = ".".join(filter(None, (line.table, line.name)))
    return f"{line.kind} {name} ({Truncator(' '.join(line.definition.split())).chars(99)})"


def statement(line: Line, other: Line | None, more: dict[str, str], own: str) -> str:
    """Return the SQL that makes what is missing, in place of another definition if there is one."""
    kind, table, name, definition = line
    target, name = f"{own}.{quote_schema_name(table)}", quote_schema_name(name)
    column = f"ALTER TABLE {target} ALTER COLUMN {name}"
    match kind:
        case "column" if other:
            sql = f"{column} TYPE {definition}"
        case "column":
            default = f"DEFAULT {more['default']}" if "default" in more else ""
            parts = " ".join([default, more.get("identity", ""), more.get("not null", "")])
            sql = f"ALTER TABLE {target} ADD COLUMN {name} {definition} {parts}"
        case "not null":
            sql = f"{column} SET NOT NULL"
        case "identity":
            sql = f"{column} ADD {definition}"
        case "default":
            sql = f"{column} SET DEFAULT {definition}"
        case "constraint":
            drop = f"DROP CONSTRAINT {name}, " if other else ""
            sql = f"ALTER TABLE {target} {drop}ADD CONSTRAINT {name} {definition}"
        case "index":
            drop = f"DROP INDEX {own}.{name}; " if other else ""
            sql = drop + definition.replace(" INDEX ON ", f" INDEX {name} ON ", 1)
        case "view":
            sql = f"CREATE VIEW {target} AS {definition.rstrip(';')}"
        case "trigger":
            drop = f"DROP TRIGGER {name} ON {target}; " if other else ""
            sql = drop + definition
        case "type":
            sql = f"-- CREATE TYPE {own}.{name}: {definition}"
        case _:
            sql = definition
    return " ".join(re.sub(r"\bown\.", f"{own}.", sql).split()) + ";"
