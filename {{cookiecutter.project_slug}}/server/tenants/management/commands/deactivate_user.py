from server.tenants import people
from server.tenants.management.base import UserCommand


class Command(UserCommand):
    help = "End a person's sessions and memberships everywhere; run it again if it was killed."

    def carry_out(self, *, username, by, **options):
        people.deactivate(username, by)
        return f"“{username}” can't sign in any more, and belongs to no tenant."
