from tenancy import lifecycle
from tenancy.management.base import TenantCommand


class Command(TenantCommand):
    help = "Have a host name lead to a tenant no more. The primary one stays."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("host", help="like workspace.example.com")

    def act(self, tenant, by, *, host, **options):
        return f"{lifecycle.remove_domain(tenant, host, by)} is unknown."
