"""One-time codes, which carry a sign-in from the main website to a workspace's host."""

import secrets
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from django.conf import settings
from django.contrib import auth
from django.db.models import Q
from django.db.models.functions import Now
from django.views.decorators.debug import sensitive_variables
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy.concrete import Tenant, User
from tenancy.models import HandOver, SupportGrant
from tenancy.people.confirmation import Confirmation
from tenancy.people.digests import digest
from tenancy.people.handover.sessions import session_store

LIFETIME = timedelta(seconds=60)
MAX_AGE = timedelta(seconds=settings.SESSION_COOKIE_AGE)  # of the sessions that codes opened


@sensitive_variables("code")
def issue(
    user: User,
    tenant: Tenant,
    host: str,
    state: str,
    website_session: str,
    confirmation: Confirmation | None = None,
    grant: SupportGrant | None = None,
) -> str:
    """Return a code that opens a session at the host, once and within a minute.

    `state` is the digest of what the person's browser keeps in a cookie of that host. The session
    gets the `confirmation`. The `grant` is what lets in a person who isn't a member.
    """
    code = secrets.token_urlsafe(32)
    over = Q(used=None, expires__lt=Now()) | Q(expires__lt=Now() - MAX_AGE)
    HandOver.objects.filter(over, user=user).delete()
    HandOver.objects.create(
        code=digest(code),
        state=state,
        user=user,
        tenant=tenant,
        host=host,
        expires=Now() + LIFETIME,  # the database's clock, as below: processes may differ
        website_session=website_session,
        confirmed=confirmation and datetime.fromtimestamp(confirmation.at, UTC),
        method=confirmation.method if confirmation else "",
        grant=grant,
    )
    return code


def redeem(code: str, tenant: Tenant, host: str, state: str) -> HandOver | None:
    """Use up the code and return what it stands for; None if it isn't good here and now.

    One UPDATE decides, so that a code is good once. The session of the main website that made it
    must still be there: it ends with a sign-out, a new password, a deactivation.
    """
    rows = HandOver.objects.filter(code=digest(code), tenant=tenant, host=host, state=state)
    if not rows.filter(used=None, expires__gt=Now()).update(used=Now()):
        return None
    handover = rows.first()
    return handover if handover and is_signed_in(handover) else None


def person_of(code: str, tenant: Tenant) -> User | None:
    """Return for whom a code was issued that isn't good here; None for one that never was."""
    rows = HandOver.objects.filter(code=digest(code), tenant=tenant).select_related("user")
    handover = rows.first()
    return handover and handover.user


def is_signed_in(handover: HandOver) -> bool:
    with schema_context(get_public_schema_name()):
        session = session_store(handover.website_session)
        user = auth.get_user(SimpleNamespace(session=session))
        return user.pk == handover.user_id
