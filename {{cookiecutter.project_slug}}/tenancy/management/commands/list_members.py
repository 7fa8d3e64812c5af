from tenancy.management.base import TenantCommand, format_table
from tenancy.people import members

TITLES = ("USER", "E-MAIL", "ROLE", "SINCE", "LAST SIGN-IN")


class Command(TenantCommand):
    help = "List the members of a tenant, with the time of their last sign-in at any host."

    def perform(self, *, tenant, by):
        rows = [
            (user.get_username(), user.email, role, day(since), day(user.last_login))
            for user, role, since in members.list_members(tenant)
        ]
        return format_table([TITLES, *rows])


def day(moment) -> str:
    return f"{moment:%F}" if moment else "never"
