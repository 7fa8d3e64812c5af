"""The request under ASGI. Nothing imports this under WSGI."""

from django.core.handlers.asgi import ASGIHandler, ASGIRequest

from tenancy.requests.reading import RefusesDamage


class Request(RefusesDamage, ASGIRequest):
    pass


def install() -> None:
    ASGIHandler.request_class = Request
