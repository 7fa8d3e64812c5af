from tenancy.management.base import UserCommand
from tenancy.people import accounts


class Command(UserCommand):
    help = "Take name and e-mail from a person who was deactivated, for good."

    def perform(self, *, username, by, **options):
        accounts.anonymise(username, by)
        return f"“{username}” is anonymised."
