"""A signed-in person's language and time zone, for every page."""

from contextlib import suppress
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.utils import timezone, translation

from tenancy.requests.net import is_certainly_anonymous


class PreferencesMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        try:
            return self.get_response(request)
        finally:
            if getattr(request, "has_preferences", False):
                timezone.deactivate()
                translation.deactivate()

    def process_view(self, request, view, args, kwargs):
        if is_certainly_anonymous(request) or not request.user.is_authenticated:
            return
        request.has_preferences = True
        if request.user.language in dict(settings.LANGUAGES):
            translation.activate(request.user.language)
        if request.user.time_zone:
            with suppress(ZoneInfoNotFoundError, ValueError):
                timezone.activate(ZoneInfo(request.user.time_zone))
