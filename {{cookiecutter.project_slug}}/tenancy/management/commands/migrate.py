from tenancy.management.commands import migrate_schemas


class Command(migrate_schemas.Command):
    """`migrate` is `migrate_schemas`, as in django-tenants."""
