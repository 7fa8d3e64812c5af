"""How one tenant is migrated."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import partial

from django.db import ProgrammingError, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import post_migrate, pre_migrate
from django_tenants.migration_executors.base import run_migrations
from django_tenants.signals import schema_migrated, schema_pre_migration
from django_tenants.utils import quote_schema_name, schema_context

from tenancy.database import citus
from tenancy.fleet import pending_signals
from tenancy.fleet.half_done import is_about_existence, recording_if_done, state_of
from tenancy.fleet.plan import Cohort, Step
from tenancy.fleet.recording import TenantEditor, lock, tenant_editors
from tenancy.fleet.replay_policy import has_own_apply
from tenancy.fleet.report import Report
from tenancy.schemas.migrate_signals import (
    has_custom_receivers,
    is_custom_receiver,
    is_django_receiver,
    send_migrate_signal,
)

FLEET = "fleet"  # the executor's name


def migrate_by_django(connection, schema: str, args, options: dict) -> None:
    """Migrate one schema as django-tenants' standard executor does."""
    # With a stdout among its options Django's command would write there without the library's
    # prefix, and the messages would not be sent.
    stdout = options.get("stdout") or sys.stdout
    options = {name: value for name, value in options.items() if name not in ("stdout", "stderr")}
    try:
        with redirect_stdout(stdout):
            run_migrations(args, options, FLEET, schema)
    finally:
        connection.set_schema_to_public()


class Strategies:
    """Each takes a cohort and the schema of one of its tenants, and raises whatever goes wrong."""

    def __init__(self, connection, args, options: dict, report: Report):
        self.connection = connection
        self.args = args
        self.options = options
        self.report = report
        self.at = ""  # what is being done, for an error to begin with
        self.has_migrate_receivers = has_custom_receivers(pre_migrate, post_migrate)
        self.has_receivers = self.has_migrate_receivers or has_custom_receivers(
            schema_pre_migration, schema_migrated
        )

    def migrate_by_django(self, cohort: Cohort, schema: str) -> None:
        """Run Django's own command, which alone knows backwards, --fake and such."""
        with (
            pending_signals.pending(self.connection, schema),
            tenant_editors(self.connection, schema, guards_public=True),
        ):
            migrate_by_django(self.connection, schema, self.args, self.options)

    def migrate_canary(self, cohort: Cohort, schema: str) -> None:
        """Run the migrations as Django does, and keep their SQL in the cohort's steps."""
        for step, executed in self.migrate_individually(cohort, schema).items():
            if any(schema in statement for statement in executed):
                step.reason_against = step.reason_against or "its SQL names the tenant's schema"
            step.statements = None if step.reason_against else executed

    def migrate_individually(self, cohort: Cohort, schema: str) -> dict[Step, list[str]]:
        """Run the migrations as Django does; return the statements of each."""
        executed, state = {}, cohort.before.clone()
        with self.signals(cohort, schema):
            for step in cohort.steps:
                self.at = f"{step}: "
                if step.migration is None:
                    self.replay(schema, step)
                    continue
                self.report.tell(schema, f"  Applying {step}...")
                state.apps  # noqa: B018 (Django renders all models at once, too)
                with self.transaction(schema, step, guards_public=True) as editor:
                    state = step.migration.apply(state, editor)
                    executed[step] = editor.executed
                if step not in executed:  # it was only recorded, and `state` has a part of it
                    with schema_context(schema):
                        state = state_of(self.connection)
        return executed

    def apply_recorded(self, cohort: Cohort, schema: str) -> None:
        """Replay the canary's SQL where that is right, else run the operations."""
        with self.signals(cohort, schema):
            for step in cohort.steps:
                self.at = f"{step}: "
                if step.statements is None and step.migration:
                    self.run_operations(cohort, schema, step)
                    continue
                try:
                    self.replay(schema, step)
                except ProgrammingError as error:
                    if step.migration is None or not is_about_existence(error):
                        raise
                    # Operation by operation it shows whether the changes were made before.
                    self.run_operations(cohort, schema, step, guards_public=True)

    @contextmanager
    def signals(self, cohort: Cohort, schema: str) -> Iterator[None]:
        """Send the signals before and after the migrations that run in the block.

        Receivers that aren't Django's own get each. Django's own make permissions, and get
        `post_migrate` for the apps that have new ones, or for all if earlier ones are pending.
        """
        schema_pre_migration.send(run_migrations, schema_name=schema)
        if self.has_migrate_receivers:
            self.send(pre_migrate, is_custom_receiver, cohort, schema, cohort.before.apps)
        is_owed = schema in cohort.pending
        configs = None if is_owed else cohort.changed
        is_heard = is_owed or configs or (cohort.steps and self.has_receivers)
        self.at = "the note on its table: "
        with pending_signals.pending(self.connection, schema) if is_heard else nullcontext():
            yield
            self.at = "post_migrate: "
            if is_owed or configs:
                self.send(post_migrate, is_django_receiver, cohort, schema, cohort.apps, configs)
            if self.has_migrate_receivers:
                self.send(post_migrate, is_custom_receiver, cohort, schema, cohort.apps)
            self.at = "schema_migrated: "
            if is_heard or self.has_receivers:
                schema_migrated.send(run_migrations, schema_name=schema)

    def send(self, signal, to, cohort: Cohort, schema: str, apps, configs=None) -> None:
        using = self.connection.alias
        with schema_context(schema):
            send_migrate_signal(
                signal, to, using=using, configs=configs, apps=apps, plan=cohort.plan
            )

    def flush(self) -> None:
        """Wait until all that was replayed is on the server's disk."""
        self.execute("SELECT pg_logical_emit_message(true, 'migrate_schemas', '')")

    def replay(self, schema: str, step: Step) -> None:
        """Execute the SQL in one transaction, in one round trip if the server allows that."""
        self.connection.set_schema(schema)
        self.connection.ensure_connection()
        # The server doesn't wait for its disk: the run does in the end, once for all. If the server
        # crashes before that, the change and its record are gone together.
        is_own = not self.connection.in_atomic_block
        statements = [
            *(["SET LOCAL synchronous_commit = off"] if is_own else []),
            f"SET LOCAL search_path = {self.connection.wanted}",
            lock(schema),
            *bookkeeping(schema, step),
            *(step.statements or ()),
        ]
        # A comment may be in the last line of a statement.
        messages = citus.messages(statements, "\n;\n", self.connection)
        whole = transaction.atomic(self.connection.alias) if len(messages) > 1 else nullcontext()
        # The cursor looks for no parameters where none are given, and sends nothing else.
        with (
            whole,
            self.connection.wrap_database_errors,
            self.connection.unguarded_cursor() as cursor,
        ):
            for message in messages:
                cursor.execute(message)
        self.connection.leave_tenant()  # a function of the migration's may have set another

    def run_operations(
        self, cohort: Cohort, schema: str, step: Step, *, guards_public: bool = False
    ) -> None:
        """Do as Django's Migration.apply does, from states that are prepared."""
        migration = step.migration
        state, operations = cohort.prepared[step]
        with self.transaction(schema, step, guards_public=guards_public) as editor:
            if has_own_apply(migration):
                migration.apply(state.clone(), editor)
                return
            for operation, before, after in operations:
                is_atomic = operation.atomic or (migration.atomic and operation.atomic is not False)
                own = is_atomic and not editor.atomic_migration
                with transaction.atomic(self.connection.alias) if own else nullcontext():
                    operation.database_forwards(migration.app_label, editor, before, after)

    @contextmanager
    def transaction(
        self, schema: str, step: Step, *, guards_public: bool
    ) -> Iterator[TenantEditor]:
        """Record the step's migration, in one transaction with what the block does.

        Django records a migration with deferred SQL in another one, and a process that is killed
        in between would leave a migration that can't be applied again. If such a one proves to be
        applied, it is only recorded.
        """
        check, record = bookkeeping(schema, step)
        with (
            schema_context(schema),
            recording_if_done(self.connection, step.migration, partial(self.execute, record)),
            tenant_editors(self.connection, schema, guards_public=guards_public),
            self.connection.schema_editor(atomic=step.migration.atomic) as editor,
            self.connection.cursor() as cursor,
        ):
            cursor.execute(check)
            yield editor
            editor.execute_deferred()
            cursor.execute(record)

    def execute(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)


def bookkeeping(schema: str, step: Step) -> tuple[str, str]:
    """Return a statement that fails if the step was applied, and one that records it."""
    table = f"{quote_schema_name(schema)}.django_migrations"
    rows = ", ".join(f"({literal(app)}, {literal(name)})" for app, name in step.rows)
    # What can't be cast shows up in the error.
    applied = "(name || ' was applied by somebody else')::int"
    check = f"SELECT {applied} FROM {table} WHERE (app, name) IN ({rows})"  # noqa: S608
    record = (
        f"INSERT INTO {table} (app, name, applied)"  # noqa: S608
        f" SELECT app, name, now() FROM (VALUES {rows}) step (app, name)"
    )
    return check, record


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def make_table(connection, schema: str) -> None:
    """Make `django_migrations`, or the public schema's would be taken for the tenant's."""
    connection.set_schema(schema, include_public=False)
    MigrationRecorder(connection).ensure_schema()
    connection.set_schema_to_public()
