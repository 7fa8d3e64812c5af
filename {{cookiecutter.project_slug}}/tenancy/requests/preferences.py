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
        request.language_before = None
        try:
            response = self.get_response(request)
            if request.language_before:  # LocaleMiddleware would name the browser's
                response.headers.setdefault("Content-Language", translation.get_language())
            return response
        finally:
            if request.language_before:
                timezone.deactivate()
                translation.activate(request.language_before)

    def process_view(self, request, view, args, kwargs):
        if not is_certainly_anonymous(request) and request.user.is_authenticated:
            request.language_before = translation.get_language()
            preferences.activate(request.user)
