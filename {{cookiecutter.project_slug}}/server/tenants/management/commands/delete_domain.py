from server.tenants.domains import remove_domain
from server.tenants.management.base import MoveCommand, add_noinput


class Command(MoveCommand):
    help = "Have a host name lead to a tenant no more, unless it is the primary one."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("-d", "--domain-domain", required=True, help="like evil.example.com")
        add_noinput(parser)

    def move(self, tenant, by, *, domain_domain, **options):
        return f"{remove_domain(tenant, domain_domain, by)} is unknown."
