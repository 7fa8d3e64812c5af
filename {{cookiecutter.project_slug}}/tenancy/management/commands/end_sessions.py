from django.core.management.base import CommandError

from tenancy.management.base import LifecycleCommand, flag
from tenancy.people import accounts


class Command(LifecycleCommand):
    help = "End the sessions of a person, or of all people, everywhere. Passwords stay."
    arguments = {
        "username": {"nargs": "?", "default": "", "help": "a user name or e-mail"},
        "--all": flag("of all people", dest="everybody"),
    }

    def perform(self, *, username, everybody, by):
        if bool(username) == everybody:
            raise CommandError("Name a person, or write --all.")
        if everybody:
            return f"The sessions of {accounts.end_all_sessions(by)} people are ended."
        accounts.end_sessions(username, by)
        return f"The sessions of “{username}” are ended."
