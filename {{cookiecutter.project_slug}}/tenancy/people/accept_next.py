"""Where a visitor of the main website was going before they signed in: a workspace, an invitation.

The pages of the sign-in pass it on in `next`. Some ways lose it, such as a new password, a code
that was typed wrong too often, or the link in an e-mail. So a cookie has it as well.
"""

from urllib.parse import urlencode

from django.core.signing import BadSignature
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from tenancy.isolation import signing

COOKIE = "accept-next"
MAX_AGE = 600  # seconds; as long as the state of a hand-over


def accept_next(request, path: str, page: str = "") -> HttpResponseRedirect:
    """Send a visitor to sign in or up, and then to the path, however they do it.

    `page` is the path of another page than that to sign in, on which they begin.
    """
    page = page or reverse("account_login")
    response = HttpResponseRedirect(f"{page}?{urlencode({'next': path})}")
    response.set_cookie(
        cookie_name(request),
        signing.dumps(path),
        max_age=MAX_AGE,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )
    return response


def accepted_next(request) -> str | None:
    """Return the path that the visitor was going to, or None."""
    try:
        return signing.loads(request.COOKIES.get(cookie_name(request), ""), max_age=MAX_AGE)
    except BadSignature:
        return None


def forget_next(request, response: HttpResponse) -> None:
    """Call it when the person has arrived."""
    if cookie_name(request) in request.COOKIES:
        response.delete_cookie(cookie_name(request))


def cookie_name(request) -> str:
    return f"{'__Host-' if request.is_secure() else ''}{COOKIE}"
