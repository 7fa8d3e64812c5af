"""Answers to what isn't a fault of the site: a limit is reached, a server is away, a request is
damaged.

They need no database. Each is the template `<status>.html` in the site's style, or a short text for
a client that wants none.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from importlib import import_module

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import DataError, InterfaceError, InternalError, OperationalError, connection
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import escape
from django.utils.log import log_response
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tenancy.exceptions import (
    LocalPostgresError,
    RateLimited,
    ReadOnly,
    one_line,
    sqlstate_of,
)
from tenancy.requests.reading import read_to_end

RETRY_AFTER = 10  # seconds
ERROR = HTTPStatus.INTERNAL_SERVER_ERROR
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
FAILED = (ERROR, HTTPStatus.BAD_REQUEST)
HTML, JSON = "text/html", "application/json"

# PostgreSQL's classes of errors: connection exception, insufficient resources (connections, memory,
# disk), shutdown; and read_only_sql_transaction, as during a failover.
READ_ONLY = "25006"
AWAY = ("08", "53", "57P", READ_ONLY)
DATABASE_ERRORS = (OperationalError, InterfaceError, InternalError)
NUL_IN_TEXT = ("22021", "22P05")
DIVISION_BY_ZERO = "22012"
GARBLED_LOOKUP = (DataError, ValueError, TypeError, LookupError, ArithmeticError)
ERROR_FLAG = "e"  # of the admin's lists
DAMAGED = (
    BadRequest,
    MultiPartParserError,
    SuspiciousOperation,
    UnicodeError,
    UnreadablePostError,
)


def classes(module: str, *names: str) -> tuple[type[Exception], ...]:
    """Return a library's exceptions; none if nothing has imported it, which takes long for some."""
    found = sys.modules.get(module)
    return tuple(getattr(found, name) for name in names) if found else ()


def servers_away() -> tuple[type[Exception], ...]:
    return (
        LocalPostgresError,
        *classes("redis.exceptions", "ConnectionError", "TimeoutError", "ReadOnlyError"),
        *classes("kombu.exceptions", "OperationalError"),
        *classes("botocore.exceptions", "ConnectionError", "HTTPClientError"),
    )


class AnswersFailures:
    """A mixin for the middleware that enters the tenant, and so comes before all that can fail.

    Django answers an exception of a view, and of each middleware, before a middleware further out
    sees it. So `process_exception` looks at what a view raises, `got_request_exception` keeps what
    another middleware has raised, and `try` catches what Django's own pages fail at.
    """

    def __init__(self, get_response):
        super().__init__(get_response)
        if "django.core.handlers.asgi" in sys.modules:  # this may be in a thread beside the loop
            import_module("tenancy.requests.asgi").install()

    def __call__(self, request):
        if self.async_mode:
            return self.__acall__(request)
        if damage := getattr(request, "damage", None):
            return final_answer_to(damage, request)
        try:
            response = super().__call__(request)
        except Exception as error:
            if (answer := final_answer_to(error, request)) is None:
                raise
            return answer
        return response if response.status_code not in FAILED else checked(response, request)

    async def __acall__(self, request):
        if damage := getattr(request, "damage", None):
            return final_answer_to(damage, request)
        try:
            response = await super().__acall__(request)
        except Exception as error:
            if (answer := final_answer_to(error, request)) is None:
                raise
            return answer
        return response if response.status_code not in FAILED else checked(response, request)

    def process_exception(self, request, exception):
        return to_plain_list(exception, request) or answer_to(exception, request)


def keep_error(request=None, **kwargs):
    if request is not None:
        request.unexpected_error = sys.exc_info()[1]


got_request_exception.connect(keep_error, dispatch_uid="keep_error")


def checked(response: HttpResponse, request) -> HttpResponse:
    """Return another answer if the error page is about an error that isn't the site's."""
    error = vars(request).pop("unexpected_error", None)
    return (error and answer_to(error, request)) or response


def final_answer_to(error: Exception, request) -> HttpResponse | None:
    """Like `answer_to`, for an error that no middleware below has seen, or could answer."""
    with in_browsers_language(request):
        return answer_to(error, request, is_final=True)


@contextmanager
def in_browsers_language(request) -> Iterator[None]:
    """Speak the language that LocaleMiddleware, which stands below, would choose."""
    with translation.override(translation.get_language_from_request(request)):
        yield


def answer_to(error: Exception, request, *, is_final=False) -> HttpResponse | None:
    """Return the answer to an error that isn't the site's, and log it in a line; otherwise None.

    With `is_final`, Django has failed to answer it.
    """
    if isinstance(error, RateLimited):
        response = answer(request, HTTPStatus.TOO_MANY_REQUESTS, how_long(error.wait), error.wait)
        response._has_been_logged = True  # by `limit`
        return response
    if is_write_of_support(error, request):
        detail = _("You are here as support and may only read. Nothing was changed.")
        response = answer(request, HTTPStatus.FORBIDDEN, detail)
        log(one_line(error), response, request, "warning")
        return response
    if is_away(error):
        response = answer(
            request, HTTPStatus.SERVICE_UNAVAILABLE, _("Please try again soon."), RETRY_AFTER
        )
        log(one_line(error), response, request, "error")
        return response
    if isinstance(error, RequestDataTooBig):
        read_to_end(request)
        response = answer(request, TOO_LARGE, _("The request is too large."))
        log(one_line(error), response, request, "warning")
        return response
    if is_garbled(error, request) or (is_final and isinstance(error, DAMAGED)):
        response = answer(request, HTTPStatus.BAD_REQUEST, _("The request is damaged."))
        log(one_line(error), response, request, "warning")
        return response
    return None


def log(reason: str, response: HttpResponse, request, level: str) -> None:
    log_response("%s: %s", reason, request.path, response=response, request=request, level=level)


def is_away(error: BaseException) -> bool:
    """Return True if a server, such as the database, can't work at the moment."""
    return any(
        isinstance(each, servers_away()) or (is_of_database(each) and has_left(each))
        for each in with_causes(error)
    )


def is_write_of_support(error: BaseException, request) -> bool:
    """Return True if the request may only read (`tenancy.requests.support`), and would write."""
    if not getattr(request, "is_read_only", False):
        return False
    return any(
        isinstance(each, ReadOnly) or (is_of_database(each) and sqlstate_of(each) == READ_ONLY)
        for each in with_causes(error)
    )


def with_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def is_of_database(error: BaseException) -> bool:
    driver = connection.Database
    own = (driver.OperationalError, driver.InterfaceError, driver.InternalError)
    return isinstance(error, (*DATABASE_ERRORS, *own))


def has_left(error: BaseException) -> bool:
    """Return True for a code of PostgreSQL's in AWAY, or for a connection that is lost.

    A lost or refused connection has no code. So has a driver's complaint about a closed cursor.
    """
    code = sqlstate_of(error)
    return code.startswith(AWAY) if code else "cursor" not in str(error)


def is_garbled(error: BaseException, request) -> bool:
    """Return True if the database has refused a value that only a garbled request can have.

    That is a NUL character, which no text can have. If the request only reads, it is any value: a
    number that is out of range, a regular expression that isn't one.
    """
    code = sqlstate_of(error)
    reads = request.method in ("GET", "HEAD") and code.startswith("22")
    return "NUL (0x00)" in str(error) or code in NUL_IN_TEXT or (reads and code != DIVISION_BY_ZERO)


def to_plain_list(error: Exception, request) -> HttpResponse | None:
    """Return a redirect to an admin's list without the parameters that have made it fail.

    Django does so for what fails while it builds the query, not while PostgreSQL runs it.
    """
    match = request.resolver_match
    is_list = match and match.app_name == "admin" and str(match.url_name).endswith("_changelist")
    may_be_garbled = is_list and request.method == "GET" and request.GET
    if not may_be_garbled or ERROR_FLAG in request.GET or not isinstance(error, GARBLED_LOOKUP):
        return None
    response = HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")
    log(one_line(error), response, request, "warning")
    return response


def how_long(seconds: int) -> str:
    """Return a sentence that says when to try again."""
    if seconds <= 90:
        text = ngettext("Try again in %d second.", "Try again in %d seconds.", seconds)
        return text % seconds
    minutes = math.ceil(seconds / 60)
    if minutes <= 90:
        return ngettext("Try again in %d minute.", "Try again in %d minutes.", minutes) % minutes
    hours = math.ceil(minutes / 60)
    return ngettext("Try again in %d hour.", "Try again in %d hours.", hours) % hours


def answer(
    request, status: HTTPStatus, detail: str, retry_after: int | None = None
) -> HttpResponse:
    """Return the page of the status, or `detail` as JSON or text if the client prefers that."""
    kind = request.get_preferred_type([HTML, JSON])
    if kind == HTML:
        response = HttpResponse(page(request, status, detail), status=status)
    elif kind == JSON:
        response = JsonResponse({"detail": detail}, status=status)
    else:
        response = HttpResponse(f"{detail}\n", status=status, content_type="text/plain")
    response["Cache-Control"] = "no-store"
    if retry_after:
        response["Retry-After"] = retry_after
    return response


def page(request, status: HTTPStatus, detail: str) -> str:
    """Render `<status>.html` without context processors, which may ask the database."""
    try:
        name = settings.PROJECT_NAME
        context = {"request": request, "detail": detail, "project_name": name}
        return render_to_string([f"{status}.html", "400.html"], context)
    except Exception:  # an owner's base.html may need more than is there
        return f"<!doctype html><title>{status}</title><h1>{status.phrase}</h1>{escape(detail)}"
