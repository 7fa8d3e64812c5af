"""The language and the time zone of every page: a signed-in person's own, or else the workspace's.

Where neither has chosen a language, visitors get the one of their cookie or browser, by Django's
LocaleMiddleware. The cookie comes before the workspace's language.
"""

from django.conf import settings
from django.utils import timezone, translation

from tenancy import preferences
from tenancy.requests.net import is_certainly_anonymous


class PreferencesMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.language_before = None
        tenant = request.tenant
        if tenant.time_zone or tenant.language:
            prefer(request, tenant)
            if settings.LANGUAGE_COOKIE_NAME in request.COOKIES:
                translation.activate(request.language_before)
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
            prefer(request, request.user)


def prefer(request, chooser) -> None:
    request.language_before = request.language_before or translation.get_language()
    preferences.activate(chooser)
