"""A signed-in person's language and time zone, for every page.

Other visitors get the language of their browser, by Django's LocaleMiddleware.
"""

from django.utils import timezone, translation

from tenancy import preferences
from tenancy.requests.net import is_certainly_anonymous


class PreferencesMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        before = translation.get_language()
        try:
            response = self.get_response(request)
            # LocaleMiddleware would name the browser's.
            response.headers.setdefault("Content-Language", translation.get_language())
            return response
        finally:
            if getattr(request, "has_preferences", False):
                timezone.deactivate()
                translation.activate(before)

    def process_view(self, request, view, args, kwargs):
        if not is_certainly_anonymous(request) and request.user.is_authenticated:
            request.has_preferences = True
            preferences.activate(request.user)
