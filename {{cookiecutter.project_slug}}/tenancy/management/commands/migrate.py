from tenancy.management.commands import migrate_schemas


class Command(migrate_schemas.Command):
    """As django-tenants has it: `migrate` is `migrate_schemas`."""
