"""E-mails to ADMINS about errors in the log: where nothing else watches it."""

import logging
import threading
import time
import traceback
from contextlib import suppress

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connections

from tenancy import outbox
from tenancy.exceptions import one_line
from tenancy.isolation import logs

SECONDS = 60  # in which the same error is mailed once

logger = logging.getLogger(__name__)


class ErrorMailHandler(logging.Handler):
    """Mails a record to ADMINS, in a thread: the same error once a minute.

    Two records have the same error if the exception was raised in the same line, or, without one,
    if they were logged in the same line. The e-mail has what the log has, and nothing of what the
    visitor has sent.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.last = {}  # the time of the last e-mail of this process about each error

    def emit(self, record):
        if not settings.ADMINS or record.name == outbox.__name__:  # a lost e-mail is no e-mail
            return
        error, now = error_of(record), time.monotonic()
        if now - self.last.get(error, -SECONDS) < SECONDS:
            return
        self.last[error] = now
        try:
            message = make_message(record)
            threading.Thread(target=send, args=[message, error, logs.request_id.get()]).start()
        except Exception:
            self.handleError(record)


def error_of(record: logging.LogRecord) -> str:
    """Return a text that is the same for the same error."""
    exception = record.exc_info and record.exc_info[1]
    if exception and (frames := traceback.extract_tb(exception.__traceback__)):
        return f"{type(exception).__name__} {frames[-1].filename}:{frames[-1].lineno}"
    return f"{record.name} {record.pathname}:{record.lineno}"


def make_message(record: logging.LogRecord) -> EmailMessage:
    text = record.getMessage()
    first = next(iter(text.strip().splitlines()), record.name)
    words = {"Level": record.levelname, "Logger": record.name}
    for name in ("schema", "host", "request_id", "user"):
        words[name.replace("_", " ").capitalize()] = getattr(record, name, "")
    lines = [f"{name}: {value}" for name, value in words.items() if value]
    if record.exc_info:
        lines += ["", record.exc_text or logging.Formatter().formatException(record.exc_info)]
    return EmailMessage(
        f"[{settings.PROJECT_NAME}] {first[:150]}",
        "\n".join([text, "", *lines, ""]),
        settings.SERVER_EMAIL,
        [admin if isinstance(admin, str) else admin[1] for admin in settings.ADMINS],
    )


def send(message: EmailMessage, error: str, request_id: str) -> None:
    logs.request_id.set(request_id)
    try:
        if is_first(error):
            outbox.deliver(message)
    except Exception as reason:
        # No error: it would be mailed.
        logger.warning("The e-mail “%s” was not sent: %s", message.subject, one_line(reason))
    finally:
        connections.close_all()


def is_first(error: str) -> bool:
    """Return whether no other process has mailed the error in this minute, as far as is known."""
    # It needs the models, which aren't there yet when logging is configured.
    from tenancy import limits

    with suppress(Exception):  # the error may be that the database is away
        count, _ = limits.store().add(limits.digest_of("error mail", error), SECONDS)
        return count == 1
    return True
