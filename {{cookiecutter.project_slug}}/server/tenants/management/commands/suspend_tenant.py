from server.tenants import lifecycle
from server.tenants.management.base import MoveCommand


class Command(MoveCommand):
    help = "Have a tenant's hosts answer 503, until `resume_tenant`."

    def move(self, tenant, by, **options):
        lifecycle.suspend(tenant, by)
        return f"“{tenant.slug}” is suspended."
