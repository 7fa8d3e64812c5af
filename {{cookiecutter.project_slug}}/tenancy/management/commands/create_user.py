import sys

from django.core.management.base import CommandError

from tenancy.management.base import LifecycleCommand, is_text
from tenancy.people import accounts


class Command(LifecycleCommand):
    help = (
        "Make a person who is a member of no tenant yet. Without --password-stdin they set their"
        " password by “Forgot your password?”."
    )

    def add_arguments(self, parser):
        parser.add_argument("username")
        parser.add_argument("email")
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read a password from the first line of standard input",
        )

    def perform(self, *, username, email, password_stdin, **options):
        user = accounts.create_user(username, email, read_password() if password_stdin else None)
        return f"“{user}” is made, with the e-mail {user.email}."


def read_password() -> str:
    try:
        password = sys.stdin.readline().removesuffix("\n") if sys.stdin else ""
    except ValueError:  # it is closed, or no text
        password = ""
    if not password or not is_text(password):
        raise CommandError("There is no password in the first line of standard input.")
    return password
