from server.tenants import lifecycle
from server.tenants.management.base import MoveCommand


class Command(MoveCommand):
    help = "Give a tenant to another owner; the old one stays a member."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--to", required=True, help="a user, by name or e-mail")

    def move(self, tenant, by, *, to, **options):
        return f"“{tenant.slug}” is {lifecycle.transfer(tenant, to, by).owner}'s."
