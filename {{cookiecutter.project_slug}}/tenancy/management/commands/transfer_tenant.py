from tenancy import lifecycle
from tenancy.management.base import TenantCommand


class Command(TenantCommand):
    help = "Give a tenant to another owner; the old one stays a member."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--to", required=True, help="a user, by name or e-mail")

    def act(self, tenant, by, *, to, **options):
        return f"“{tenant.slug}” is {lifecycle.transfer(tenant, to, by).owner}'s."
