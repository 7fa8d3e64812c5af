"""Which tenants have which migrations, and what each cohort lacks.

A cohort is the tenants with the same migrations applied. Django itself plans for one of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from django.apps import AppConfig, apps
from django.db import ProgrammingError
from django.db.backends.postgresql.psycopg_any import errors
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context

from tenancy.exceptions import one_line
from tenancy.fleet import pending_signals
from tenancy.fleet.replay_policy import ReplayPolicy
from tenancy.fleet.targets import targets

CHUNK = 250  # as many tables are read, and locked, in one query
BY_DJANGO = ("fake", "fake_initial", "prune", "run_syncdb")

TABLES = """
    SELECT nspname, class.oid IS NOT NULL,
        coalesce(obj_description(class.oid, 'pg_class') = %s, false)
    FROM pg_namespace
    LEFT JOIN pg_class class
        ON relnamespace = pg_namespace.oid AND relname = 'django_migrations' AND relkind = 'r'
    WHERE nspname = ANY(%s)
"""
Key = tuple[str, str]  # a migration: its app's label and its name


@dataclass
class Step:
    """A migration of the plan, or the rows that squashed migrations get in the end."""

    migration: Migration | None
    rows: list[Key]  # what django_migrations gets
    reason_against: str | None = None  # why its SQL can't be replayed
    sql: str | None = None  # what the canary's was
    before: ProjectState | None = None  # this and the next are filled in by Cohort.after
    operations: list[tuple] | None = None  # with the states before and after

    def __str__(self):
        return str(self.migration or "squashed migrations")


@dataclass
class Cohort:
    schemas: list[str]
    has_table: bool
    pending: set[str]  # the schemas that are owed the signals after an earlier migration
    executor: MigrationExecutor | None = None
    plan: list[tuple[Migration, bool]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    by_django: str | None = None  # why Django migrates each tenant
    always: bool = False  # also those whose plan is empty
    error: str | None = None  # why nobody can be migrated

    @property
    def has_work(self) -> bool:
        return bool(self.plan or self.steps or self.always)

    @property
    def names(self) -> list[str]:
        """What is done, a name a migration."""
        if self.always:
            return [self.by_django]
        return [str(step) for step in self.steps] or [str(each) for each, _ in self.plan]

    @cached_property
    def before(self) -> ProjectState:
        return self.executor._create_project_state(with_applied_migrations=True)

    @cached_property
    def after(self) -> ProjectState:
        """Besides, it gives each step its operations, with the states that they are between."""
        state = self.before.clone()
        for step in self.steps:
            if step.migration is None:
                continue
            if step.sql is None:
                state.apps  # noqa: B018 (what is rendered once is not rendered for each clone)
            step.before, step.operations = state, []
            for operation in step.migration.operations:
                after = state.clone()
                operation.state_forwards(step.migration.app_label, after)
                step.operations.append((operation, state, after))
                state = after
        state.clear_delayed_apps_cache()
        return state

    @cached_property
    def changed(self) -> list[AppConfig]:
        """The apps with new models or permissions, which is what Django's own receivers look at."""
        before, after = self.before.models, self.after.models
        labels = {
            label
            for (label, name), model in after.items()
            if (label, name) not in before
            or rights(model.options) != rights(before[label, name].options)
        }
        return [config for config in apps.get_app_configs() if config.label in labels]


def rights(options: dict) -> tuple:
    return options.get("default_permissions"), options.get("permissions")


def make(connection, schemas: list[str], options: dict) -> tuple[list[Cohort], list[str]]:
    """The cohorts, in the order of their first tenants, and the schemas that don't exist.

    Raises CommandError for an app label or a migration name that Django doesn't know, and for
    migrations that contradict one another.
    """
    cohorts, missing = read(connection, schemas)
    for cohort in cohorts:
        fill(connection, cohort, options)
    return cohorts, missing


def read(connection, schemas: list[str]) -> tuple[list[Cohort], list[str]]:
    cohorts, missing, public = {}, [], get_public_schema_name()
    with connection.cursor() as cursor:
        cursor.execute(TABLES, [pending_signals.NOTE, schemas])
        tables = {schema: (has_table, owes) for schema, has_table, owes in cursor}
    try:
        applied = read_applied(connection, [schema for schema, (has, _) in tables.items() if has])
    except ProgrammingError as error:
        if isinstance(error.__cause__, (errors.UndefinedTable, errors.InvalidSchemaName)):
            return read(connection, schemas)  # one was dropped in between
        raise
    for schema in schemas:
        if schema not in tables:
            missing.append(schema)
            continue
        has_table, owes = tables[schema]
        key = schema == public, has_table, applied.get(schema)
        cohort = cohorts.setdefault(key, Cohort([], has_table, set()))
        cohort.schemas.append(schema)
        if owes:
            cohort.pending.add(schema)
    return list(cohorts.values()), missing


def read_applied(connection, schemas: list[str]) -> dict[str, str]:
    """For each schema its applied migrations as one text."""
    applied = {}
    with connection.cursor() as cursor:
        for start in range(0, len(schemas), CHUNK):
            cursor.execute(
                " UNION ALL ".join(
                    f"SELECT {start + number}, string_agg(DISTINCT app || '.' || name, ',')"  # noqa: S608
                    f" FROM {quote_schema_name(schema)}.django_migrations"
                    for number, schema in enumerate(schemas[start : start + CHUNK])
                )
            )
            applied.update((schemas[number], text) for number, text in cursor)
    return applied


def fill(connection, cohort: Cohort, options: dict) -> None:
    """Let Django plan for the cohort's first tenant."""
    with schema_context(cohort.schemas[0]):
        try:
            cohort.executor = executor = MigrationExecutor(connection)
            executor.loader.check_consistent_history(connection)
        except Exception as error:  # the other cohorts may be well
            cohort.error = one_line(error)
            return
        plan = executor.migration_plan(targets(executor.loader, options))
        backwards = {migration for migration, is_backwards in plan if is_backwards}
        # Django goes in the order in which it would migrate an empty database.
        full_plan = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
        wanted = {migration for migration, _ in plan}
        cohort.plan = [each for each in full_plan if each[0] in wanted] if not backwards else plan
        chosen = [option for option in BY_DJANGO if options.get(option)]
        if backwards:
            cohort.by_django = "backwards"
        elif cohort.schemas[0] == get_public_schema_name():
            cohort.by_django = "shared by all"
        elif chosen:
            cohort.by_django = f"--{chosen[0].replace('_', '-')}"
            cohort.always = bool({"prune", "run_syncdb"}.intersection(chosen))
        else:
            policy = ReplayPolicy(connection.alias)
            cohort.steps = [
                Step(migration, rows_of(migration), policy.reason_against(migration))
                for migration, _ in cohort.plan
            ]
            applied = set(executor.recorder.applied_migrations())
            applied.update(row for step in cohort.steps for row in step.rows)
            # Django does this with every `migrate`, for those that were squashed afterwards.
            if rows := [
                key
                for key, migration in executor.loader.replacements.items()
                if key not in applied and applied.issuperset(migration.replaces)
            ]:
                cohort.steps.append(Step(None, rows))


def rows_of(migration: Migration) -> list[Key]:
    return list(migration.replaces) or [(migration.app_label, migration.name)]


def describe(cohorts: Iterable[Cohort], missing: Iterable[str]) -> Iterator[str]:
    """Lines that say what each cohort would do."""
    for cohort in cohorts:
        count, first = len(cohort.schemas), cohort.schemas[0]
        if first == get_public_schema_name():
            who = first
        else:
            who = f"{count} tenant{'s' if count > 1 else ''}, the first is {first}"
        if cohort.error:
            yield f"{who}: {cohort.error}"
        elif not cohort.has_work:
            yield f"{who}: up to date"
        else:
            yield f"{who}:"
            if cohort.always:
                yield f"  by Django ({cohort.by_django})"
            if cohort.by_django:
                yield from (f"  {one}: by Django ({cohort.by_django})" for one, _ in cohort.plan)
            for step in cohort.steps:
                path = (
                    f"operation by operation ({step.reason_against})"
                    if step.reason_against
                    else "replayed"
                )
                yield f"  {step}: {path}"
    for schema in missing:
        yield f"{schema}: there is no such schema"
