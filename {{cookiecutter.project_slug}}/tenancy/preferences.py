"""A person's language and time zone, for pages and e-mails."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.utils import timezone, translation

from tenancy.concrete import User


def activate(user: User) -> None:
    """Use the person's language and time zone, as far as they have chosen any that is there."""
    if user.language in dict(settings.LANGUAGES):
        translation.activate(user.language)
    if user.time_zone:
        with suppress(ZoneInfoNotFoundError, ValueError):
            timezone.activate(ZoneInfo(user.time_zone))


@contextmanager
def preferences_of(email: str) -> Iterator[None]:
    """Use the preferences of the person with this address; the current ones if there is nobody."""
    user = User.objects.filter(email=email).only("language", "time_zone").first()
    language, zone = translation.get_language(), timezone.get_current_timezone()
    with translation.override(language), timezone.override(zone):
        if user:
            activate(user)
        yield
