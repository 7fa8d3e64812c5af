from server.tenants.domains import add_domain
from server.tenants.management.base import MoveCommand, add_noinput


class Command(MoveCommand):
    help = "Have a further host name lead to a tenant; it is the output."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("-d", "--domain-domain", required=True, help="like evil.example.com")
        parser.add_argument(
            "--domain-is_primary",
            nargs="?",
            const="True",
            default="",
            choices=["True", "False", ""],
            help="from now on the one to which the others redirect",
        )
        add_noinput(parser)

    def move(self, tenant, by, *, domain_domain, domain_is_primary, **options):
        return add_domain(tenant, domain_domain, by, is_primary=domain_is_primary == "True")
