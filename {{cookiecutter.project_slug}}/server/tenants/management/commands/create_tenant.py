from server.tenants import lifecycle
from server.tenants.domains import check_free
from server.tenants.management.base import LifecycleCommand, add_noinput, find_tenant


class Command(LifecycleCommand):
    help = (
        "Make a tenant, as `provision_tenant` does; its host name is the last line of the output."
        " The name of its schema is made from the slug."
    )

    def add_arguments(self, parser):
        parser.add_argument("--name", required=True, help="what people call it: EvilCorp")
        parser.add_argument("--slug", required=True, help="its place below the domain: evilcorp")
        parser.add_argument("--organization", required=True, help="the customer, found or made")
        parser.add_argument("--owner", required=True, help="a user, by name or e-mail")
        parser.add_argument("--domain-domain", default="", help="a primary domain of its own")
        self.add_by(parser)
        library = parser.add_argument_group("for whom has been using the library's command")
        add_noinput(library)
        library.add_argument("-s", action="store_true", help="the owner is a superuser anyway")

    def carry_out(self, *, name, slug, organization, owner, domain_domain, by, **options):
        if domain_domain:
            check_free(domain_domain)
        host = lifecycle.provision_tenant(name, slug, organization, owner, by=by)
        if not domain_domain:
            return host
        renamed = lifecycle.rename(find_tenant(slug=slug), by, domain=domain_domain)
        return renamed.get_primary_domain().domain
