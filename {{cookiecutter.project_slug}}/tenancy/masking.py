"""Keeps one-time secrets out of logs and error reports.

A log is read by more people, and kept for longer, than a code is good. `install` masks every log
record of the process, whichever logger and handler it is for: Django's, runserver's, gunicorn's
access log. `ExceptionReporter` masks the page and the e-mail about an error.
"""

import logging
import re
import traceback
from contextlib import suppress
from types import TracebackType

from django.http import HttpRequest
from django.utils.html import escape
from django.views import debug

MASK = "********"
NAMES = ("code", "credential", "key", "otp", "password", "secret", "state", "token")
LETTERS = "[BCDFGHJKLMNPQRSTVWXZ]{4}"  # of the codes that django-allauth sends by e-mail
KEY_PREFIX = "wsk_"  # by which scanners for secrets find a key that was published
KEY = KEY_PREFIX + "[A-Za-z0-9_-]{43}"  # of a program, see `tenancy.people.keys`

# In a URL that is a parameter of another one, the separators are encoded, perhaps more than once.
LINKS = re.compile(
    rf"""
    (?P<before>
        # A link with the secret in its path: to accept an invitation, to confirm an address, or to
        # set a new password (also those of django.contrib.auth).
        (?:/|%2F)(?:invitations|confirm-email|reset(?:/|%2F)[^/\s?&%]+)(?:/|%2F)
        # One with the secret in a parameter, such as that of a hand-over.
        | (?:[?&;]|%(?:25)*(?:3F|26))(?:{"|".join(NAMES)})(?:=|%(?:25)*3D)
    )
    (?P<secret>(?:(?!%(?:25)*(?:2F|26))[^\s/?&"'<>\#])+)
    | \b{LETTERS}-{LETTERS}\b
    | \b{KEY}
    """,
    re.VERBOSE | re.IGNORECASE,
)
SHORTEST = 6  # characters; shorter values would be found everywhere in a report
TRACEBACKS = logging.Formatter()


def masked(text: str, request=None) -> str:
    """Return the text with the secrets in links, and the codes of e-mails, masked.

    So are the secret values of the request, wherever the text has them.
    """
    for secret in sorted(secrets_of(request), key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, MASK).replace(escape(secret), MASK)
    return LINKS.sub(lambda match: f"{match['before'] or ''}{MASK}", text)


def install() -> None:
    """Mask the log records of this process."""
    make = logging.getLogRecordFactory()
    if getattr(make, "masks", False):
        return

    def make_masked(*args, **options):
        record = make(*args, **options)
        with suppress(Exception):  # a line that can't be formatted is for its handler to report
            mask_record(record)
        return record

    make_masked.masks = True
    logging.setLogRecordFactory(make_masked)


def mask_record(record: logging.LogRecord) -> None:
    message = record.getMessage()
    if (clean := masked(message)) != message:
        record.msg, record.args = clean, ()
    if record.exc_info:
        text = TRACEBACKS.formatException(record.exc_info)
        if (clean := masked(text, request_of(record.exc_info[2]))) != text:
            record.exc_text = clean  # which formatters take, if it is there


def request_of(trace: TracebackType | None) -> HttpRequest | None:
    """Return the request that failed, which one of Django's functions in the traceback has."""
    requests = (frame.f_locals.get("request") for frame, _ in traceback.walk_tb(trace))
    return next((each for each in requests if isinstance(each, HttpRequest)), None)


def hide(request, *secrets: str) -> None:
    """Keep these values out of the report, if the request fails."""
    vars(request).setdefault("_hidden", set()).update(secrets)


class ExceptionReporter(debug.ExceptionReporter):
    """Django's page or e-mail about an error, without one-time secrets.

    It is the setting DEFAULT_EXCEPTION_REPORTER.
    """

    def get_traceback_html(self):
        return masked(super().get_traceback_html(), self.request)

    def get_traceback_text(self):
        return masked(super().get_traceback_text(), self.request)


class ReportFilter(debug.SafeExceptionReporterFilter):
    """Django's filter, also in development, and for fields of forms that are named like secrets.

    It is the setting DEFAULT_EXCEPTION_REPORTER_FILTER.
    """

    cleansed_substitute = MASK

    def is_active(self, request):
        return True

    def get_post_parameters(self, request):
        fields = super().get_post_parameters(request)
        return {name: MASK if is_secret(name) else value for name, value in fields.items()}


def is_secret(name: str) -> bool:
    return any(word in name.lower() for word in NAMES)


def secrets_of(request) -> set[str]:
    """Return the secret values of a request: of its URL, form, cookies and session."""
    if request is None:
        return set()
    found = set(getattr(request, "_hidden", ()))
    found.update(match["secret"] for match in LINKS.finditer(request.path) if match["secret"])
    with suppress(Exception):  # a damaged body can't be read
        for values in (request.GET, request.POST):
            for name in filter(is_secret, values):
                found.update(values.getlist(name))
    found.update(value for name, value in request.COOKIES.items() if "handover-" in name)
    found.update(secrets_in(getattr(getattr(request, "session", None), "_session_cache", {})))
    return found


def secrets_in(session: dict) -> set[str]:
    """Return the values of a session that are named like secrets, at any depth."""
    found = set()
    for name, value in session.items():
        if isinstance(value, dict):
            found |= secrets_in(value)
        elif isinstance(value, str) and is_secret(str(name)):
            found.add(value)
    return found
