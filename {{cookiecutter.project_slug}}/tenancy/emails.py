"""E-mails in the project's style. One template gives the subject, the text and the HTML."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends import console
from django.template.loader import render_to_string


def send_email(name: str, recipient: str, context: dict) -> None:
    """Send the e-mail `tenancy/email/<name>.txt` to one recipient.

    The template's first paragraph is the subject. The HTML is the rest inside
    `tenancy/email/base.html`. EMAIL_BACKEND may send it at once or in the background.
    """
    context = {"project_name": settings.PROJECT_NAME, **context}
    subject, _, text = render_to_string(f"tenancy/email/{name}.txt", context).partition("\n\n")
    html = render_to_string("tenancy/email/base.html", {**context, "text": text.strip()})
    message = EmailMultiAlternatives(" ".join(subject.split()), f"{text.strip()}\n", to=[recipient])
    message.attach_alternative(html, "text/html")
    message.send()


class ConsoleBackend(console.EmailBackend):
    """Prints e-mails as plain text, for development."""

    def write_message(self, message):
        recipients = ", ".join(message.recipients())
        self.stream.write(f"To: {recipients}\nSubject: {message.subject}\n\n{message.body}\n")
