from django.core.management.base import CommandError
from django.core.management.commands import flush as django


class Command(django.Command):
    help = "Refuses: Django's would empty the tables of all tenants, and of who owns which schema."

    def handle(self, **options):
        raise CommandError(
            "All tenants' rows would go, and who owns which schema. `purge_tenant` ends one tenant;"
            " to begin anew, drop the database."
        )
