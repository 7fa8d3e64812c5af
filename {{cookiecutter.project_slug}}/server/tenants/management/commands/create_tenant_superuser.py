from server.tenants import members
from server.tenants.management.base import MoveCommand, add_noinput


class Command(MoveCommand):
    help = "Make a person, who is a member then, a superuser in one tenant."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--username", required=True, help="a user, by name or e-mail")
        add_noinput(parser)

    def move(self, tenant, by, *, username, **options):
        members.add_member(tenant, username, "admin", by=by)
        return f"“{username}” is a superuser in “{tenant.slug}”."
