from tenancy import lifecycle
from tenancy.management.base import TenantCommand


class Command(TenantCommand):
    help = "Give a tenant another name, slug or primary domain; its host is the output."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--name", default="", help="what people call it from now on")
        parser.add_argument("--new-slug", default="", help="it brings its host along")
        parser.add_argument("--domain", default="", help="the primary one from now on")

    def act(self, tenant, by, *, name, new_slug, domain, **options):
        renamed = lifecycle.rename(tenant, by, name=name, slug=new_slug, domain=domain)
        return renamed.get_primary_domain().domain
