"""The project's settings, with the strictest Content-Security-Policy that its pages work under."""

from server.settings import *  # noqa: F403

POLICY = (
    "default-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none';"
    " object-src 'none'; frame-ancestors 'none'"
)


def policy(get_response):
    def middleware(request):
        response = get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    return middleware


MIDDLEWARE = ["strict.policy", *MIDDLEWARE]  # noqa: F405
