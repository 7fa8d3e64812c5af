"""E-mails that a thread of this process sends, so that no request waits for the mail server."""

import logging
import os
import threading
import time
from collections import deque
from functools import partial

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction

from tenancy.exceptions import one_line
from tenancy.isolation import logs

SMTP = "django.core.mail.backends.smtp.EmailBackend"
MOST = 1000  # e-mails that wait; more would only fill the memory
LAST_SECONDS = 15  # in which an ending process sends what waits: gunicorn kills it after 30

logger = logging.getLogger(__name__)


class EmailBackend(BaseEmailBackend):
    """Sends each e-mail after the commit, in a thread (EMAIL_BACKEND).

    It goes through the backend TENANCY_EMAIL_BACKEND, SMTP by default. An e-mail that isn't sent is
    a line in the log. A process that is killed loses what waits; with Celery a worker sends it.
    """

    def send_messages(self, email_messages):
        for message in email_messages:
            transaction.on_commit(partial(outbox.post, message))
        return len(email_messages)


class Outbox:
    """E-mails that wait, and a thread as long as there are any.

    Python waits for the thread before the process ends.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.waiting = deque()
        self.thread = None

    def post(self, message: EmailMessage) -> None:
        """Send the e-mail soon."""
        with self.lock:
            if len(self.waiting) >= MOST:
                log_loss(message, f"{MOST} e-mails are waiting already")
                return
            self.waiting.append((message, logs.request_id.get()))
            if self.thread is None:
                self.thread = threading.Thread(target=self.send_all, name="outbox")
                self.thread.start()

    def send_all(self) -> None:
        last = None  # when to give up, in a process that ends
        while waiting := self.next():
            message, request = waiting
            logs.request_id.set(request)
            if not threading.main_thread().is_alive():
                last = last or time.monotonic() + LAST_SECONDS
                if time.monotonic() > last:
                    log_loss(message, "the process has ended")
                    continue
            try:
                deliver(message)
            except Exception as error:  # the thread has nobody else to tell
                log_loss(message, one_line(error))

    def next(self) -> tuple[EmailMessage, str] | None:
        with self.lock:
            if self.waiting:
                return self.waiting.popleft()
            self.thread = None
            return None


outbox = Outbox()
os.register_at_fork(after_in_child=outbox.__init__)  # the thread stays with the parent


def deliver(message: EmailMessage) -> None:
    """Send the e-mail now. Its header X-Request-ID says where it comes from."""
    if request := logs.request_id.get():
        message.extra_headers.setdefault("X-Request-ID", request)
    backend = getattr(settings, "TENANCY_EMAIL_BACKEND", SMTP)
    get_connection(backend).send_messages([message])


def log_loss(message: EmailMessage, reason: str) -> None:
    logger.error("The e-mail “%s” was not sent: %s", message.subject, reason)
