from server.tenants import people
from server.tenants.management.base import UserCommand


class Command(UserCommand):
    help = "Take name and e-mail from a person who was deactivated, for good."

    def carry_out(self, *, username, by, **options):
        people.anonymise(username, by)
        return f"“{username}” is anonymised."
