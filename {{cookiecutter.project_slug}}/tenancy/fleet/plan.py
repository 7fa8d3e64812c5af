"""Which tenants have which migrations, and what each cohort lacks.

A cohort is the tenants with the same migrations applied. Django itself plans for one of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property

from django.apps import AppConfig, apps
from django.db import ProgrammingError
from django.db.backends.postgresql.psycopg_any import errors
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState, StateApps
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context

from tenancy.exceptions import one_line
from tenancy.fleet import pending_signals
from tenancy.fleet.replay_policy import ReplayPolicy
from tenancy.fleet.targets import targets
from tenancy.fleet.threads import read_in_threads
from tenancy.schemas.migrate_signals import apps_after

CHUNK = 60  # as many tables are read, and locked, in one query
# With one of these options Django's own command migrates each tenant; with the last two it has
# work that is no migration.
BY_DJANGO = "fake", "fake_initial", "prune", "run_syncdb"
EXTRA_WORK = BY_DJANGO[2:]

TABLES = """
    SELECT nspname, class.oid IS NOT NULL,
        coalesce(description = %s, false)
    FROM pg_namespace
    LEFT JOIN pg_class class
        ON relnamespace = pg_namespace.oid AND relname = 'django_migrations' AND relkind = 'r'
    LEFT JOIN pg_description
        ON objoid = class.oid AND classoid = 'pg_class'::regclass AND objsubid = 0
    WHERE nspname = ANY(%s)
"""
Key = tuple[str, str]  # a migration: its app's label and its name


@dataclass(eq=False)
class Step:
    """A migration, the rows that squashed migrations get in the end, or an option's own work."""

    name: str
    migration: Migration | None = None
    rows: list[Key] = field(default_factory=list)  # what django_migrations gets
    reason_against: str | None = None  # why its SQL can't be replayed
    statements: list[str] | None = None  # what the canary executed

    def __str__(self):
        return self.name


@dataclass
class Cohort:
    schemas: list[str]
    has_table: bool  # of its migrations
    pending: set[str]  # the schemas that are owed the signals after an earlier migration
    executor: MigrationExecutor | None = None
    plan: list[tuple[Migration, bool]] = field(default_factory=list)  # Django's
    steps: list[Step] = field(default_factory=list)
    by_django: str | None = None  # why Django's own command migrates each tenant
    error: str | None = None  # why no tenant can be migrated

    @cached_property
    def before(self) -> ProjectState:
        return self.executor._create_project_state(with_applied_migrations=True)

    @cached_property
    def after(self) -> ProjectState:
        state = self.before.clone()
        vars(state).pop("apps", None)  # or each migration would render models
        for step in self.steps:
            if step.migration:
                step.migration.mutate_state(state, preserve=False)
        return state

    @cached_property
    def apps(self) -> StateApps:
        return apps_after(self.after)

    @cached_property
    def prepared(self) -> dict[Step, tuple[ProjectState, list[tuple]]]:
        """For each migration the state before it, and its operations with those before and after.

        Django would make these for each tenant, which takes longer than most operations do.
        """
        self.before.apps  # noqa: B018 (what is rendered once is not rendered for each clone)
        prepared, state = {}, self.before.clone()
        for step in self.steps:
            if step.migration is None:
                continue
            operations = []
            prepared[step] = state, operations
            for operation in step.migration.operations:
                after = state.clone()
                operation.state_forwards(step.migration.app_label, after)
                operations.append((operation, state, after))
                state = after
        return prepared

    @cached_property
    def changed(self) -> list[AppConfig]:
        """The apps with new models or permissions, which Django's own receivers look at."""

        def permissions(model):
            return model.options.get("default_permissions"), model.options.get("permissions")

        before = self.before.models
        labels = {
            label
            for (label, name), model in self.after.models.items()
            if (label, name) not in before or permissions(model) != permissions(before[label, name])
        }
        return [config for config in apps.get_app_configs() if config.label in labels]


def make(connection, schemas: list[str], options: dict) -> tuple[list[Cohort], list[str]]:
    """Return the cohorts, in the order of their first tenants, and the schemas that don't exist.

    Raises CommandError for an app label or a migration name that Django doesn't know, and for
    migrations that contradict one another.
    """
    cohorts, missing = find_cohorts(connection, schemas)
    for cohort in cohorts:
        with schema_context(cohort.schemas[0]):
            fill(connection, cohort, options)
    return cohorts, missing


def find_cohorts(connection, schemas: list[str]) -> tuple[list[Cohort], list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(TABLES, [pending_signals.NOTE, schemas])
        tables = {schema: (has_table, is_owed) for schema, has_table, is_owed in cursor}
    try:
        applied = read_applied(connection, [schema for schema, (has, _) in tables.items() if has])
    except ProgrammingError as error:
        if isinstance(error.__cause__, (errors.UndefinedTable, errors.InvalidSchemaName)):
            return find_cohorts(connection, schemas)  # one was dropped in between
        raise
    cohorts: dict[tuple, Cohort] = {}
    for schema in schemas:
        if schema in tables:
            has_table, is_owed = tables[schema]
            key = schema == get_public_schema_name(), has_table, applied.get(schema)
            cohort = cohorts.setdefault(key, Cohort([], has_table, set()))
            cohort.schemas.append(schema)
            if is_owed:
                cohort.pending.add(schema)
    return list(cohorts.values()), [schema for schema in schemas if schema not in tables]


def read_applied(connection, schemas: list[str]) -> dict[str, str | None]:
    """Return each schema's applied migrations as one text, in which they are sorted."""

    @cache
    def sort(text):  # PostgreSQL would do so for each tenant
        return ",".join(sorted(set(text.split(","))))

    def read(connection, chunk):
        selects = (
            f"SELECT {number}, string_agg(app || '.' || name, ',')"  # noqa: S608
            f" FROM {quote_schema_name(schema)}.django_migrations"
            for number, schema in enumerate(chunk)
        )
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(selects))
            return [(chunk[number], text and sort(text)) for number, text in cursor]

    return dict(read_in_threads(connection, read, schemas, CHUNK))


def fill(connection, cohort: Cohort, options: dict) -> None:
    """Let Django plan for the cohort's first tenant, which is the current one."""
    try:
        cohort.executor = executor = MigrationExecutor(connection)
        executor.loader.check_consistent_history(connection)
    except Exception as error:  # the other cohorts may be well
        cohort.error = one_line(error)
        return
    cohort.plan = executor.migration_plan(targets(executor.loader, options))
    chosen = [option for option in BY_DJANGO if options.get(option)]
    if any(is_backwards for _, is_backwards in cohort.plan):
        cohort.by_django = "backwards"
    elif cohort.schemas[0] == get_public_schema_name():
        cohort.by_django = "shared by all"
    elif chosen:
        cohort.by_django = f"--{chosen[0].replace('_', '-')}"
    if cohort.by_django:
        cohort.steps = [Step(str(migration), migration) for migration, _ in cohort.plan]
        if set(EXTRA_WORK).intersection(chosen):
            cohort.steps.append(Step(cohort.by_django))
        return
    if cohort.plan:  # Django goes in the order in which it would migrate an empty database
        full_plan = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
        lacking = {migration for migration, _ in cohort.plan}
        cohort.plan = [each for each in full_plan if each[0] in lacking]
    policy = ReplayPolicy(connection.alias)
    for migration, _ in cohort.plan:
        rows = list(migration.replaces) or [(migration.app_label, migration.name)]
        reason = policy.reason_against(migration)
        cohort.steps.append(Step(str(migration), migration, rows, reason))
    applied = set(executor.recorder.applied_migrations())
    applied.update(row for step in cohort.steps for row in step.rows)
    # Django does this with every `migrate`, for those that were squashed afterwards.
    if rows := [
        key
        for key, migration in executor.loader.replacements.items()
        if key not in applied and applied.issuperset(migration.replaces)
    ]:
        cohort.steps.append(Step("squashed migrations", None, rows))


def describe(cohorts: Iterable[Cohort], missing: Iterable[str]) -> Iterator[str]:
    """Yield lines that say what each cohort would do."""
    for cohort in cohorts:
        count, subject = len(cohort.schemas), cohort.schemas[0]
        if subject != get_public_schema_name():
            subject = f"{count} tenant{'s' if count > 1 else ''}, the first is {subject}"
        if cohort.error:
            yield f"{subject}: {cohort.error}"
        elif not cohort.steps:
            yield f"{subject}: up to date"
        else:
            yield f"{subject}:"
        for step in cohort.steps:
            if cohort.by_django:
                yield f"  {step}: by Django ({cohort.by_django})"
            elif step.reason_against:
                yield f"  {step}: operation by operation ({step.reason_against})"
            else:
                yield f"  {step}: replayed"
    for schema in missing:
        yield f"{schema}: there is no such schema"
