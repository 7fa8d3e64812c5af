from tenancy.management.base import UserCommand
from tenancy.people import accounts


class Command(UserCommand):
    help = "Let a person sign in again who was deactivated; they are a member of no tenant."

    def perform(self, *, username, by, **options):
        accounts.reactivate(username, by)
        return f"“{username}” can sign in again, once a password is set."
