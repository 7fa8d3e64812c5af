import sys

from django.core.management.base import CommandError

from tenancy.management.base import LifecycleCommand, check_text, flag, text
from tenancy.people import accounts


class Command(LifecycleCommand):
    help = (
        "Create a person who is a member of no tenant yet. Without --password-stdin they set their"
        " password by “Forgot your password?”."
    )
    arguments = {
        "username": text("a user name"),
        "email": text("an e-mail address"),
        "--password-stdin": flag("read the password from the first line of standard input"),
    }

    def perform(self, *, username, email, password_stdin, by):
        user = accounts.create_user(username, email, read_password() if password_stdin else None)
        return f"“{user}” is created, with the e-mail {user.email}."


def read_password() -> str:
    try:
        password = sys.stdin.readline().removesuffix("\n") if sys.stdin else ""
        check_text(password)
    except (ValueError, CommandError):  # it is closed, or not text
        password = ""
    if not password:
        raise CommandError("There is no password in the first line of standard input.")
    return password
