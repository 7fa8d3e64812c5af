from server.tenants import members
from server.tenants.management.base import MoveCommand, table

TITLES = ("USER", "E-MAIL", "ROLE", "SINCE", "LAST SIGN-IN")


class Command(MoveCommand):
    help = "List the members of a tenant; the last sign-in is the last at any host."

    def move(self, tenant, by, **options):
        rows = [
            (user.get_username(), user.email, role, day(since), day(user.last_login))
            for user, role, since in members.list_members(tenant)
        ]
        return table([TITLES, *rows])


def day(moment) -> str:
    return f"{moment:%F}" if moment else "never"
