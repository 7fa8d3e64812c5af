"""The command that `migrate_schemas` runs in each schema (TENANT_BASE_MIGRATE_COMMAND)."""

from contextlib import nullcontext
from functools import partial

from django.core.management.commands import migrate
from django.db import transaction
from django.db.migrations.executor import MigrationExecutor

from tenancy.fleet.half_done import recording_if_done, state_of


class AtomicExecutor(MigrationExecutor):
    """Records a migration in one transaction with its changes, both ways.

    One with `atomic = False` has no transaction, and may be half done if it is interrupted.
    """

    def apply_migration(self, state, migration, fake=False, fake_initial=False):
        record = partial(self.record, "record_applied", "apply_success", migration)
        with (
            recording_if_done(self.connection, migration, record),
            self.transaction(migration, fake),
        ):
            return super().apply_migration(state, migration, fake, fake_initial)
        return state_of(self.connection)  # the block has changed a part of the other one

    def unapply_migration(self, state, migration, fake=False):
        record = partial(self.record, "record_unapplied", "unapply_success", migration)
        with (
            recording_if_done(self.connection, migration, record, undo_from=state),
            self.transaction(migration, fake),
        ):
            return super().unapply_migration(state, migration, fake)
        return state

    def transaction(self, migration, fake):
        return (
            transaction.atomic(self.connection.alias) if migration.atomic or fake else nullcontext()
        )

    def record(self, write, progress, migration):
        """Record the migration and those that it replaces. Django 6.1 changed its own method."""
        with transaction.atomic(self.connection.alias):
            for key in (*migration.replaces, (migration.app_label, migration.name)):
                getattr(self.recorder, write)(*key)
        if self.progress_callback:
            self.progress_callback(progress, migration, fake=True)


# Django's command has no other place that says which executor it uses.
migrate.MigrationExecutor = AtomicExecutor


class Command(migrate.Command):
    """Django's `migrate` without checks. `migrate_schemas` has run them, and those of the database
    would fail for tables that a migration is about to make."""

    requires_system_checks = []
