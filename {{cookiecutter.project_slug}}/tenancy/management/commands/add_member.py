from tenancy import roles
from tenancy.management.base import TenantCommand
from tenancy.people import members


class Command(TenantCommand):
    help = "Make a person a member of a tenant, or give a member another role."

    def add_arguments(self, parser):
        super().add_arguments(parser)
        names = ", ".join(roles.assignable_roles())
        parser.add_argument("username", help="a user, by name or e-mail")
        parser.add_argument("--role", default=roles.MEMBER, help=f"one of {names}")

    def act(self, tenant, by, *, username, role, **options):
        members.add_member(tenant, username, role, by=by)
        return f"“{username}” is {role} of “{tenant.slug}”."
