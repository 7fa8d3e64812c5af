from server.tenants import people
from server.tenants.management.base import UserCommand


class Command(UserCommand):
    help = "Let a person sign in again who was deactivated; they are a member of no tenant."

    def carry_out(self, *, username, by, **options):
        people.reactivate(username, by)
        return f"“{username}” can sign in again, once a password is set."
