"""Carrying out what was planned: a canary by Django, the others by what the canary has shown."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout

from django.apps import AppConfig, apps
from django.core.management import CommandError
from django.db import DatabaseError, InterfaceError, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import post_migrate, pre_migrate
from django_tenants.migration_executors.base import run_migrations
from django_tenants.signals import schema_migrated, schema_pre_migration
from django_tenants.utils import quote_schema_name, schema_context

from server.tenants.fleet import drift, owing, plan
from server.tenants.fleet.plan import Cohort, Step
from server.tenants.fleet.recording import lock, recorded
from server.tenants.fleet.report import Report, names, reason_of
from server.tenants.post_migrate import djangos, emit, is_heard, others

FLEET = "fleet"  # the executor's name
PATIENCE = 30  # seconds that a database has to come back
# A migration may call sys.exit(): that's its tenant's failure.
FAILURES = (Exception, SystemExit)


class DatabaseGone(Exception):
    """The database doesn't answer any more; the message names what is left."""


def by_django(connection, schema: str, args, options: dict) -> None:
    """Migrate one schema as the library's standard executor does."""
    # With a stdout among its options Django's command would write there without the library's
    # prefix, and nobody would get the messages.
    stdout = options.get("stdout") or sys.stdout
    options = {name: value for name, value in options.items() if name not in ("stdout", "stderr")}
    try:
        with redirect_stdout(stdout):
            run_migrations(args, options, FLEET, schema)
    finally:
        connection.set_schema_to_public()


class Run:
    """One run of the command over tenants; the report is told what becomes of each."""

    def __init__(self, connection, args, options: dict, report: Report):
        self.connection = connection
        self.args = args
        self.options = options
        self.report = report
        self.left: dict[str, None] = {}  # the schemas whose turn is still to come, in order
        self.inside_transaction = connection.in_atomic_block
        self.at = ""  # the migration that is being done
        self.others_listen = is_heard(pre_migrate, others) or is_heard(post_migrate, others)
        self.library_is_heard = any(
            signal.has_listeners(run_migrations)
            for signal in (schema_pre_migration, schema_migrated)
        )

    def migrate(self, schemas: list[str]) -> None:
        """Raises DatabaseGone, and what `plan.make` raises."""
        self.report.total = self.report.done + len(schemas)
        cohorts, missing = plan.make(self.connection, schemas, self.options)
        for schema in missing:
            self.report.has_failed(schema, "there is no such schema")
        self.left = dict.fromkeys(schema for cohort in cohorts for schema in cohort.schemas)
        for cohort in cohorts:
            if cohort.error:
                self.report.has_failed(cohort.schemas[0], cohort.error)
                self.left.pop(cohort.schemas[0])
                self.report.untouched += self.rest_of(cohort)
            elif cohort.by_django:
                for schema in cohort.schemas if cohort.has_work else ():
                    self.attempt(cohort, schema, self.alone)
            elif cohort.has_work:
                self.carry_out(cohort)
            self.leave(cohort)

    def rest_of(self, cohort: Cohort) -> list[str]:
        return [schema for schema in cohort.schemas if schema in self.left]

    def leave(self, cohort: Cohort) -> None:
        """Those that have all migrations; who listens hears of each tenant all the same."""
        for schema in self.rest_of(cohort):
            if self.others_listen or self.library_is_heard or schema in cohort.owing:
                self.attempt(cohort, schema, self.follow)
            else:
                self.left.pop(schema)
                self.report.up_to_date.append(schema)

    def carry_out(self, cohort: Cohort) -> None:
        canaries, drifted = self.choose(cohort)
        for canary in canaries:
            if not self.attempt(cohort, canary, self.lead):
                return self.set_aside(cohort, self.report.untouched)
        if self.options.get("canary_only"):
            return self.set_aside(cohort, self.report.waiting)
        for schema in self.rest_of(cohort):
            if self.inside_transaction:
                raise CommandError("Tenants are migrated in a transaction each, not in another.")
            if schema not in drifted:
                self.attempt(cohort, schema, self.follow)
            elif self.attempt(cohort, schema, self.alone):
                self.report.drifted.append(schema)
        return None

    def set_aside(self, cohort: Cohort, where: list[str]) -> None:
        for schema in self.rest_of(cohort):
            where.append(schema)
            self.left.pop(schema)

    def choose(self, cohort: Cohort) -> tuple[list[str], set[str]]:
        """The canaries, of which the last is like most tenants, and those that are not like them.

        They are two where the canary that is asked for has drifted.
        """
        wanted = [schema for schema in cohort.schemas if schema == self.options.get("canary")]
        if len(cohort.schemas) == 1 or all(step.why_not for step in cohort.steps):
            return wanted or cohort.schemas[:1], set()
        prints = drift.fingerprints(self.connection, cohort.schemas)
        [(usual, _)] = Counter(map(prints.get, cohort.schemas)).most_common(1)
        alike = [schema for schema in cohort.schemas if prints.get(schema) == usual]
        drifted = set(cohort.schemas).difference(alike)
        if wanted and wanted[0] not in drifted:
            return wanted, drifted
        self.report.drifted += wanted
        return [*wanted, alike[0]], drifted

    def attempt(self, cohort: Cohort, schema: str, way: Callable[[Cohort, str], None]) -> bool:
        """Go the way with the tenant, and return whether that went well."""
        self.at = ""
        try:
            if not cohort.has_table:
                self.make_table(schema)
            way(cohort, schema)
        except FAILURES as error:
            if self.inside_transaction:
                raise
            self.left.pop(schema)
            reason = reason_of(error)
            self.report.has_failed(schema, f"{self.at}: {reason}" if self.at else reason)
            self.connect_anew()
            return False
        self.left.pop(schema)
        if cohort.has_work:
            self.report.was_migrated(schema, ", ".join(cohort.names))
        else:
            self.report.up_to_date.append(schema)
        return True

    def make_table(self, schema: str) -> None:
        """As the library does, or the public schema's table would be taken for the tenant's."""
        self.connection.set_schema(schema, include_public=False)
        MigrationRecorder(self.connection).ensure_schema()
        self.connection.set_schema_to_public()

    def connect_anew(self) -> None:
        """A connection that nothing is left in of what has failed."""
        self.connection.close()
        self.connection.set_schema_to_public()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.connection.ensure_connection()
            except (DatabaseError, InterfaceError) as error:
                if time.monotonic() > deadline:
                    raise DatabaseGone(
                        f"the database doesn't answer ({reason_of(error)}); not reached:"
                        f" {names(self.left)}"
                    ) from error
                time.sleep(0.2)

    # The ways

    def lead(self, cohort: Cohort, schema: str) -> None:
        """By Django, and what it executes is kept in the cohort's steps."""
        executed = self.alone(cohort, schema)
        steps = [step for step in cohort.steps if step.migration]
        for number, step in enumerate(steps):
            if len(executed) != len(steps):
                step.why_not = step.why_not or "its SQL can't be told from others'"
            elif any(schema in statement for statement in executed[number]):
                step.why_not = step.why_not or "its SQL names the tenant's schema"
            elif not step.why_not:
                step.sql = "\n;\n".join(executed[number])  # a comment may be in the last line

    def alone(self, cohort: Cohort, schema: str) -> list[list[str]]:
        """By Django; returns the statements of each migration."""
        with (
            owing.noted(self.connection, schema),
            recorded(self.connection, schema) as executed,
        ):
            try:
                by_django(self.connection, schema, self.args, self.options)
            except FAILURES:
                self.at = dict(enumerate(cohort.names, 1)).get(len(executed), "")
                raise
        return executed

    def follow(self, cohort: Cohort, schema: str) -> None:
        """By the canary's SQL where that is right, else operation by operation."""
        self.tell_library(schema_pre_migration, schema)
        if self.others_listen:
            self.emit(pre_migrate, others, cohort, schema, cohort.before)
        owes = schema in cohort.owing
        configs = None if owes else self.changed(cohort)
        with owing.noted(self.connection, schema) if owes or configs else nullcontext():
            for step in cohort.steps:
                self.at = str(step)
                if step.sql is None and step.migration:
                    self.operate(schema, step)
                else:
                    self.replay(schema, step)
            self.at = "post_migrate"
            if owes or configs:
                self.emit(post_migrate, djangos, cohort, schema, cohort.after, configs)
        if self.others_listen:
            self.emit(post_migrate, others, cohort, schema, cohort.after)
        self.tell_library(schema_migrated, schema)

    def replay(self, schema: str, step: Step) -> None:
        """In one round trip, which is one transaction."""
        with schema_context(schema):
            search_path = ", ".join(map(quote_schema_name, self.connection.wanted))
        self.connection.ensure_connection()
        check, record = self.bookkeeping(schema, step)
        statements = [
            f"SET LOCAL search_path = {search_path}",
            lock(schema),
            check,
            step.sql or "",
            record,
        ]
        # The driver's own cursor: it looks for no parameters where none are given.
        with self.connection.wrap_database_errors, self.connection.connection.cursor() as cursor:
            cursor.execute("\n;\n".join(statements))
        self.connection.forget()  # a function of the migration's may have set another search_path

    def operate(self, schema: str, step: Step) -> None:
        """As Django's Migration.apply does, from states that are prepared."""
        migration = step.migration
        with (
            schema_context(schema),
            recorded(self.connection, schema),
            self.connection.schema_editor(atomic=migration.atomic) as editor,
        ):
            check, record = self.bookkeeping(schema, step)
            editor.execute(check, None)
            for operation, before, after in step.operations:
                is_atomic = operation.atomic or (migration.atomic and operation.atomic is not False)
                own = is_atomic and not editor.atomic_migration
                with transaction.atomic(self.connection.alias) if own else nullcontext():
                    operation.database_forwards(migration.app_label, editor, before, after)
            # Django records after these, in another transaction, and may be killed in between.
            for statement in editor.deferred_sql:
                editor.execute(statement, None)
            editor.deferred_sql.clear()
            editor.execute(record, None)

    def bookkeeping(self, schema: str, step: Step) -> tuple[str, str]:
        """A statement that fails if the migration is applied, and one that notes that it is."""
        table = f"{quote_schema_name(schema)}.django_migrations"
        compose = self.connection.ops.compose_sql
        keys = ", ".join(compose("(%s, %s)", row) for row in step.rows)
        rows = ", ".join(compose("(%s, %s, now())", row) for row in step.rows)
        # What can't be cast shows up in the error.
        applied = "(name || ' was applied by somebody else')::int"
        check = f"SELECT {applied} FROM {table} WHERE (app, name) IN ({keys})"  # noqa: S608
        return check, f"INSERT INTO {table} (app, name, applied) VALUES {rows}"  # noqa: S608

    # Signals

    def tell_library(self, signal, schema: str) -> None:
        if self.library_is_heard:
            signal.send(run_migrations, schema_name=schema)

    def emit(self, signal, to, cohort: Cohort, schema: str, state, configs=None) -> None:
        with schema_context(schema):
            emit(
                signal,
                to,
                using=self.connection.alias,
                configs=configs,
                apps=state.apps,
                plan=cohort.plan,
            )

    def changed(self, cohort: Cohort) -> list[AppConfig]:
        """The apps with new models or permissions, which is what Django's own receivers look at."""
        before, after = cohort.before.models, cohort.after.models
        labels = {
            label
            for (label, name), model in after.items()
            if (label, name) not in before
            or rights(model.options) != rights(before[label, name].options)
        }
        return [config for config in apps.get_app_configs() if config.label in labels]


def rights(options: dict) -> tuple:
    return options.get("default_permissions"), options.get("permissions")
