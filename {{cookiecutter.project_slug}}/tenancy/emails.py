"""E-mails in the project's style. One template gives the subject, the text and the HTML."""

import secrets
import time
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends import console
from django.template.loader import render_to_string

from tenancy.concrete import Tenant, User
from tenancy.preferences import preferences_of

MAX_KEPT = 50  # e-mails, in development


def send_email(
    name: str, recipient: str | User, context: dict, tenant: Tenant | None = None
) -> None:
    """Send the e-mail `tenancy/email/<name>.txt` to one recipient, in their language.

    The recipient is a person, or an address, which costs a query. A person without a language of
    their own gets that of the tenant, by default the current one.

    The template's first paragraph is the subject. The HTML is the rest inside
    `tenancy/email/base.html`. EMAIL_BACKEND may send it at once or in the background.
    """
    context = {"project_name": settings.PROJECT_NAME, **context}
    with preferences_of(recipient, tenant):
        subject, _, text = render_to_string(f"tenancy/email/{name}.txt", context).partition("\n\n")
        html = as_html(text.strip(), context)
    address = recipient.email if isinstance(recipient, User) else recipient
    message = EmailMultiAlternatives(" ".join(subject.split()), f"{text.strip()}\n", to=[address])
    message.attach_alternative(html, "text/html")
    message.send()


def as_html(text: str, context: dict) -> str:
    """Return the HTML of an e-mail, in the project's style."""
    context = {"project_name": settings.PROJECT_NAME, **context, "text": text}
    return render_to_string("tenancy/email/base.html", context)


class ConsoleBackend(console.EmailBackend):
    """Prints e-mails as plain text, for development.

    With EMAIL_FILE_PATH it also keeps the newest in that folder, for the page `/_mail/`.
    """

    def write_message(self, message):
        recipients = ", ".join(message.recipients())
        self.stream.write(f"To: {recipients}\nSubject: {message.subject}\n\n{message.body}\n")
        if folder := settings.EMAIL_FILE_PATH:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)  # they have codes
            file = Path(folder, f"{time.time_ns()}-{secrets.token_hex(4)}.eml")
            file.write_bytes(message.message().as_bytes())
            for old in kept_files()[MAX_KEPT:]:
                old.unlink(missing_ok=True)


def kept_files() -> list[Path]:
    """Return the files of the e-mails that development keeps, the newest first."""
    folder = settings.EMAIL_FILE_PATH
    return sorted(Path(folder).glob("*.eml"), reverse=True) if folder else []
