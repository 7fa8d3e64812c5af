from tenancy.management.base import TenantCommand, table
from tenancy.people import members

TITLES = ("USER", "E-MAIL", "ROLE", "SINCE", "LAST SIGN-IN")


class Command(TenantCommand):
    help = "List the members of a tenant; the last sign-in is the last at any host."

    def act(self, tenant, by, **options):
        rows = [
            (user.get_username(), user.email, role, day(since), day(user.last_login))
            for user, role, since in members.list_members(tenant)
        ]
        return table([TITLES, *rows])


def day(moment) -> str:
    return f"{moment:%F}" if moment else "never"
