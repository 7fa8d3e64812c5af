from tenancy import lifecycle
from tenancy.management.base import TenantCommand


class Command(TenantCommand):
    help = "Have another host name lead to a tenant; the command prints it as it is stored."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("host", help="like workspace.example.com")
        parser.add_argument(
            "--primary", action="store_true", help="from now on the other hosts redirect to it"
        )

    def act(self, tenant, by, *, host, primary, **options):
        return lifecycle.add_domain(tenant, host, by, is_primary=primary)
