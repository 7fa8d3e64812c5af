"""The ways in which one tenant is migrated."""

import sys
from contextlib import nullcontext, redirect_stdout

from django.db import transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import post_migrate, pre_migrate
from django_tenants.migration_executors.base import run_migrations
from django_tenants.signals import schema_migrated, schema_pre_migration
from django_tenants.utils import quote_schema_name, schema_context

from tenancy.fleet import pending_signals
from tenancy.fleet.plan import Cohort, Step
from tenancy.fleet.recording import GuardingEditor, lock, recorded
from tenancy.fleet.replay_policy import has_own_apply
from tenancy.schemas.migrate_signals import (
    has_custom_receivers,
    is_custom_receiver,
    is_django_receiver,
    send_migrate_signal,
)

FLEET = "fleet"  # the executor's name


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


class Strategies:
    """Each takes a cohort and the schema of one of its tenants, and raises whatever goes wrong."""

    def __init__(self, connection, args, options: dict):
        self.connection = connection
        self.args = args
        self.options = options
        self.at = ""  # what is being done, for an error to begin with
        self.migrate_signals_heard = has_custom_receivers(pre_migrate, post_migrate)
        self.has_listeners = self.migrate_signals_heard or has_custom_receivers(
            schema_pre_migration, schema_migrated
        )

    def migrate_canary(self, cohort: Cohort, schema: str) -> None:
        """By Django, and what it executes is kept in the cohort's steps."""
        executed = self.migrate_individually(cohort, schema)
        steps = [step for step in cohort.steps if step.migration]
        for number, step in enumerate(steps):
            if len(executed) != len(steps):
                step.reason_against = step.reason_against or "its SQL can't be told from others'"
            elif any(schema in statement for statement in executed[number]):
                step.reason_against = step.reason_against or "its SQL names the tenant's schema"
            elif not step.reason_against:
                step.sql = "\n;\n".join(executed[number])  # a comment may be in the last line

    def migrate_individually(self, cohort: Cohort, schema: str) -> list[list[str]]:
        """By Django; returns the statements of each migration."""
        if not cohort.has_table:
            self.make_table(schema)
        with (
            pending_signals.pending(self.connection, schema),
            recorded(self.connection, schema, GuardingEditor) as executed,
        ):
            try:
                by_django(self.connection, schema, self.args, self.options)
            except BaseException:
                if 0 < len(executed) <= len(cohort.names):
                    self.at = f"{cohort.names[len(executed) - 1]}: "
                raise
        return executed

    def make_table(self, schema: str) -> None:
        """As the library does, or the public schema's table would be taken for the tenant's."""
        self.connection.set_schema(schema, include_public=False)
        MigrationRecorder(self.connection).ensure_schema()
        self.connection.set_schema_to_public()

    def apply_recorded(self, cohort: Cohort, schema: str) -> None:
        """By the canary's SQL where that is right, else operation by operation."""
        if not cohort.has_table:
            self.make_table(schema)
        schema_pre_migration.send(run_migrations, schema_name=schema)
        if self.migrate_signals_heard:
            self.send(pre_migrate, is_custom_receiver, cohort, schema, cohort.before)
        owes, after = schema in cohort.pending, cohort.after
        configs = None if owes else cohort.changed
        needs_note = owes or configs or (cohort.steps and self.has_listeners)
        self.at = "the note on its table: "
        with pending_signals.pending(self.connection, schema) if needs_note else nullcontext():
            for step in cohort.steps:
                self.at = f"{step}: "
                if step.sql is None and step.migration:
                    self.run_operations(schema, step)
                else:
                    self.replay(schema, step)
            self.at = "post_migrate: "
            if owes or configs:
                self.send(post_migrate, is_django_receiver, cohort, schema, after, configs)
            if self.migrate_signals_heard:
                self.send(post_migrate, is_custom_receiver, cohort, schema, after)
            self.at = "schema_migrated: "
            if needs_note or self.has_listeners:
                schema_migrated.send(run_migrations, schema_name=schema)

    def replay(self, schema: str, step: Step) -> None:
        """In one round trip, which is one transaction."""
        self.connection.set_schema(schema)
        self.connection.ensure_connection()
        _, record = bookkeeping(schema, step)
        statements = [
            f"SET LOCAL search_path = {self.connection.wanted}",
            lock(schema),
            record,
            step.sql or "",
        ]
        # The driver's own cursor: it looks for no parameters where none are given.
        with self.connection.wrap_database_errors, self.connection.connection.cursor() as cursor:
            cursor.execute("\n;\n".join(statements))
        self.connection.leave_tenant()  # a function of the migration's may have set another

    def run_operations(self, schema: str, step: Step) -> None:
        migration = step.migration
        with (
            schema_context(schema),
            recorded(self.connection, schema),
            self.connection.schema_editor(atomic=migration.atomic) as editor,
        ):
            check, record = bookkeeping(schema, step)
            editor.execute(check, None)
            if has_own_apply(migration):
                migration.apply(step.before.clone(), editor)
            else:
                self.apply(step, editor)
            # Django records after these, in another transaction, and may be killed in between.
            for statement in editor.deferred_sql:
                editor.execute(statement, None)
            editor.deferred_sql.clear()
            editor.execute(record, None)

    def apply(self, step: Step, editor) -> None:
        """As Django's Migration.apply does, from states that are prepared."""
        migration = step.migration
        for operation, before, after in step.operations:
            is_atomic = operation.atomic or (migration.atomic and operation.atomic is not False)
            own = is_atomic and not editor.atomic_migration
            with transaction.atomic(self.connection.alias) if own else nullcontext():
                operation.database_forwards(migration.app_label, editor, before, after)

    def send(self, signal, to, cohort: Cohort, schema: str, state, configs=None) -> None:
        with schema_context(schema):
            send_migrate_signal(
                signal,
                to,
                using=self.connection.alias,
                configs=configs,
                apps=state.apps,
                plan=cohort.plan,
            )


def bookkeeping(schema: str, step: Step) -> tuple[str, str]:
    """A statement that fails if the migration is applied, and one that also notes that it is."""
    table = f"{quote_schema_name(schema)}.django_migrations"
    checks, rows = [], []
    for app, name in (map(literal, row) for row in step.rows):
        # What can't be cast shows up in the error.
        applied = "(name || ' was applied by somebody else')::int::text"
        check = f"SELECT {applied} FROM {table} WHERE app = {app} AND name = {name}"  # noqa: S608
        checks.append(check)
        rows.append(f"({app}, coalesce(({check}), {name}), now())")
    record = f"INSERT INTO {table} (app, name, applied) VALUES {', '.join(rows)}"  # noqa: S608
    return " UNION ALL ".join(checks), record


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
