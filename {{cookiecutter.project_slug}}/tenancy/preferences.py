"""The language and the time zone of pages and e-mails: a person's own, or else the workspace's."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.db import connection
from django.utils import timezone, translation

from tenancy.concrete import Tenant, User


def activate(chooser: User | Tenant) -> None:
    """Use the language and the time zone that a person or a workspace has chosen, if any."""
    if chooser.language in dict(settings.LANGUAGES):
        translation.activate(chooser.language)
    if chooser.time_zone:
        with suppress(ZoneInfoNotFoundError, ValueError):
            timezone.activate(ZoneInfo(chooser.time_zone))


@contextmanager
def preferences_of(person: str | User, tenant: Tenant | None = None) -> Iterator[None]:
    """Use the preferences of a person, or of the one with this address.

    For what they haven't chosen use the tenant's, by default the current one's, and then what is
    active.
    """
    tenant = tenant or connection.tenant
    user = person
    if not isinstance(person, User):
        user = User.objects.filter(email=person).only("language", "time_zone").first()
    language, zone = translation.get_language(), timezone.get_current_timezone()
    with translation.override(language), timezone.override(zone):
        for chooser in (tenant, user):
            if isinstance(chooser, Tenant | User):  # outside of tenants it is a stand-in
                activate(chooser)
        yield
