from django.core.management.base import CommandError
from django_tenants.management.commands import collectstatic_schemas


class Command(collectstatic_schemas.Command):
    help = "Not here: all tenants share the static files, which `collectstatic` collects."

    def handle(self, **options):
        raise CommandError("All tenants share the static files: call `collectstatic`.")
