"""What `migrate_schemas` runs in each schema (TENANT_BASE_MIGRATE_COMMAND)."""

from django.core.management.commands import migrate


class Command(migrate.Command):
    """Django's, without checks: `migrate_schemas` has run them, and the database's would refuse
    to begin because the tables are missing that a migration is about to make."""

    requires_system_checks = []
