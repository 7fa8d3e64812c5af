from server.tenants import lifecycle
from server.tenants.management.base import MoveCommand


class Command(MoveCommand):
    help = "Have a suspended tenant's hosts answer again."

    def move(self, tenant, by, **options):
        lifecycle.resume(tenant, by)
        return f"“{tenant.slug}” is active."
