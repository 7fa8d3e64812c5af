"""A request whose damage is refused with status 400, wherever it is found, and with 413 if it is
too large.
"""

from contextlib import suppress

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParserError

# Django answers these with status 400.
KNOWN = (BadRequest, MultiPartParserError, SuspiciousOperation, UnreadablePostError)
MOST = 32_000_000  # bytes, more than `deploy/Caddyfile` lets through by default
CHUNK = 64_000


def read_to_end(request) -> None:
    """Read the rest of the body, up to MOST bytes.

    A server resets a connection that it closes while the client still sends. A browser may then
    show that error in place of the answer.
    """
    with suppress(Exception):  # the client may have gone away
        for _ in range(MOST // CHUNK):
            if not request.read(CHUNK):
                break


class RefusesDamage:
    """A mixin for Django's requests, which raise other exceptions where this raises what Django
    answers.

    A codec or a header's parameters can raise nearly everything. Django makes the request outside
    of its handlers, so `damage` keeps the reason until `AnswersFailures` asks for it.
    """

    damage = None

    def _set_content_type_params(self, meta):
        try:
            super()._set_content_type_params(meta)
            b"a%".decode(self.encoding or "ascii", "replace")  # as GET and POST do
        except Exception as error:
            self.content_type, self.content_params, self._encoding = "", {}, None
            self.damage = BadRequest(f"Content-Type: {error}")

    def _load_post_and_files(self):
        try:
            super()._load_post_and_files()
        except Exception as error:
            self._mark_post_parse_error()  # a page about the error would raise it again
            if isinstance(error, RequestDataTooBig):  # Django answers with 400
                self.unexpected_error = error
            if isinstance(error, KNOWN):
                raise
            raise BadRequest(f"The body can't be read: {error}") from error


class Request(RefusesDamage, WSGIRequest):
    pass
