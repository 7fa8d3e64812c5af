from server.tenants import members
from server.tenants.management.base import MoveCommand


class Command(MoveCommand):
    help = "End a person's membership of a tenant, and their sessions there."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("username", help="a member, by user name or e-mail")

    def move(self, tenant, by, *, username, **options):
        members.remove_member(tenant, username, by=by)
        return f"“{username}” is no member of “{tenant.slug}” any more."
