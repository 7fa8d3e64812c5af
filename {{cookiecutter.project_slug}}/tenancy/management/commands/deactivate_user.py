from tenancy.management.base import UserCommand
from tenancy.people import accounts


class Command(UserCommand):
    help = "End a person's sessions and memberships everywhere; run it again if it was killed."

    def perform(self, *, username, by, **options):
        accounts.deactivate(username, by)
        return f"“{username}” can't sign in any more, and belongs to no tenant."
