"""The project's settings, and a clock: at `?later` an hour passes since a person's confirmation."""

from server.settings import *  # noqa: F403


def clock(get_response):
    def middleware(request):
        if "later" in request.GET:
            at, method = request.session["confirmation"]
            request.session["confirmation"] = [at - 3600, method]
        return get_response(request)

    return middleware


MIDDLEWARE = [*MIDDLEWARE, "later.clock"]  # noqa: F405
