from server.tenants import lifecycle
from server.tenants.management.base import MoveCommand


class Command(MoveCommand):
    help = "Make a deleted tenant what it was: active or suspended."

    def move(self, tenant, by, **options):
        return f"“{tenant.slug}” is {lifecycle.undelete(tenant, by).status}."
