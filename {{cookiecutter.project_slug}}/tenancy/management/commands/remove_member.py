from tenancy.management.base import TenantCommand
from tenancy.people import members


class Command(TenantCommand):
    help = "End a person's membership of a tenant, and their sessions there."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("username", help="a member, by user name or e-mail")

    def act(self, tenant, by, *, username, **options):
        members.remove_member(tenant, username, by=by)
        return f"“{username}” is not a member of “{tenant.slug}” any more."
