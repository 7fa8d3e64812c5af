from django.core.management.base import CommandError
from tenant_users.tenants.management.commands import create_public_tenant


class Command(create_public_tenant.Command):
    help = "Not here: `init_tenant` makes the public tenant, and does so again and again."

    def handle(self, **options):
        raise CommandError("Call `init_tenant`, which takes domain and owner from .env.")
