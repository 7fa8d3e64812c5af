"""Which reads of a request go to the replica (`tenancy.database.replica`).

In a tenant's workspace, requests that are safe by their method read rows of the tenant's own apps
there: apps of TENANT_APPS that aren't in SHARED_APPS too, without credentials. All else is read
from the primary: people, rights, sessions and what decides about a request, the main website, what
is read inside a transaction, and the rest of a request once it has written.

A response to a request that wrote has a cookie with the position of the primary's WAL. The browser
reads from the primary until the replica has replayed that far.
"""

import secrets
from functools import cache

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac
from django_tenants.utils import app_labels, get_public_schema_name

from tenancy.database import replica
from tenancy.database.replica.standby import WRITTEN, ask, max_lag, standby
from tenancy.isolation.credentials import credential_models
from tenancy.isolation.router import is_in_apps

METHODS = ("GET", "HEAD")
COOKIE = f"{settings.SESSION_COOKIE_NAME}_written"
SECONDS = 60  # for which a browser keeps the cookie longer than a replica in use may lag
UNKNOWN = 2**63  # no replica gets there


class RequestChooser(replica.Chooser):
    def __init__(self, *, wrote: bool, may_read: bool):
        self.wrote = wrote
        self.may_read = may_read

    def chooses(self, model: type[Model]) -> bool:
        concrete = getattr(model._meta, "concrete_model", None)  # the table of a cache has none
        return (
            self.may_read
            and not self.wrote
            and concrete is not None
            and is_read_there(concrete)
            and standby.is_good()
            and not is_in_transaction()
        )


def begin(request: HttpRequest) -> None:
    """Decide where the request reads. Its tenant is known."""
    if replica.alias is None:
        return
    replica.chooser.set(None)
    if request.tenant.schema_name == get_public_schema_name() or is_in_transaction():
        return  # a test is in one
    is_safe = request.method in METHODS
    chooser = RequestChooser(wrote=not is_safe, may_read=is_safe and is_up_to_date_for(request))
    replica.chooser.set(chooser)


def is_in_transaction() -> bool:
    return connections[DEFAULT_DB_ALIAS].in_atomic_block


def is_up_to_date_for(request: HttpRequest) -> bool:
    """Return whether the replica can be used, and has all that the browser has written."""
    standby.refresh()
    if not standby.is_good():
        return False
    text = request.COOKIES.get(COOKIE)
    return text is None or standby.has(reveal(text))


def finish(response: HttpResponse) -> None:
    """Keep the browser away from the replica, if the request wrote, until it has replayed that."""
    chooser = replica.chooser.get()
    if chooser is None:
        return
    replica.chooser.set(None)
    chooser.may_read = False  # an asynchronous task that the request has begun still has it
    if chooser.wrote:
        options = {"secure": settings.SESSION_COOKIE_SECURE, "httponly": True, "samesite": "Lax"}
        response.set_cookie(COOKIE, hide(written()), max_age=SECONDS + max_lag(), **options)


def written() -> int:
    """Return the position of the primary's WAL, which is beyond what the request has committed."""
    try:
        return ask(DEFAULT_DB_ALIAS, WRITTEN)[0]
    except Error:
        return UNKNOWN


@cache
def own_labels() -> frozenset[str]:
    return frozenset(app_labels(settings.TENANT_APPS)) - set(app_labels(settings.SHARED_APPS))


@cache
def is_read_there(model: type[Model]) -> bool:
    return is_in_apps(model, own_labels()) and model not in credential_models()


# The position tells how much all tenants write. A browser gets it as a number that means nothing.


def hide(position: int) -> str:
    nonce = secrets.token_bytes(8)
    return f"{nonce.hex()}{position ^ pad(nonce):016x}"


def reveal(text: str) -> int:
    """Return the position; one that no replica reaches if the text is none of ours."""
    try:
        return int(text[16:32], 16) ^ pad(bytes.fromhex(text[:16]))
    except ValueError:
        return UNKNOWN


def pad(nonce: bytes) -> int:
    return int.from_bytes(salted_hmac(COOKIE, nonce).digest()[:8], "big")
