"""E-mails that a worker sends."""

import logging
from functools import partial

from celery import shared_task
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import EmailAlternative, EmailAttachment
from django.db import transaction
from kombu.exceptions import OperationalError
from kombu.utils import json

from tenancy.exceptions import one_line
from tenancy.outbox import deliver, outbox

logger = logging.getLogger(__name__)


class EmailBackend(BaseEmailBackend):
    """Hands each e-mail to a worker after the commit (EMAIL_BACKEND).

    The worker sends it through the backend TENANCY_EMAIL_BACKEND, SMTP by default. A thread of the
    process sends an e-mail that JSON can't represent, and any e-mail while the broker is away.
    """

    def send_messages(self, email_messages):
        for message in email_messages:
            try:
                send = partial(hand_over, serialize(message))
            except TypeError:
                send = partial(outbox.post, message)
            transaction.on_commit(send, robust=self.fail_silently)
        return len(email_messages)


def hand_over(text: str) -> None:
    try:
        send_email.delay(text)
    except OperationalError as error:
        logger.warning("An e-mail is sent without a worker: %s", one_line(error))
        outbox.post(deserialize(text))


@shared_task(
    public=True, ignore_result=True, autoretry_for=(OSError,), retry_backoff=True, max_retries=10
)
def send_email(text):
    """Send an e-mail. A mail server that fails is asked again, for about half an hour."""
    deliver(deserialize(text))


def serialize(message: EmailMessage) -> str:
    """Return the e-mail as JSON. Raises TypeError for a class of its own, or a MIME part."""
    if type(message) not in (EmailMessage, EmailMultiAlternatives):
        raise TypeError(type(message))
    return json.dumps({**vars(message), "connection": None})


def deserialize(text: str) -> EmailMessage:
    fields = json.loads(text)
    fields["attachments"] = [EmailAttachment(*each) for each in fields["attachments"]]
    fields["alternatives"] = [EmailAlternative(*each) for each in fields.get("alternatives", ())]
    message = EmailMultiAlternatives()
    vars(message).update(fields)
    return message
