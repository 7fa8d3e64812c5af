"""The command that `migrate_schemas` runs in each schema (TENANT_BASE_MIGRATE_COMMAND)."""

from django.core.management.commands import migrate


class Command(migrate.Command):
    """Django's `migrate` without checks. `migrate_schemas` has run them, and those of the database
    would fail for tables that a migration is about to make."""

    requires_system_checks = []
