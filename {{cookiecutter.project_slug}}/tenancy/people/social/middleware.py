"""Around the pages on which a person leaves for a provider, and comes back."""

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base import ProviderException
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpResponseNotAllowed
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from requests import RequestException

from tenancy.exceptions import RateLimited
from tenancy.limits import limit
from tenancy.requests.address import client_address
from tenancy.requests.failures import answer_to

PROVIDERS = "allauth.socialaccount.providers."  # the package of their views
BEGIN, RETURN = "_login", "_callback"  # the ends of the views' names
# What django-allauth raises when a provider doesn't answer, or with something else than it must.
FAILURES = (
    ArithmeticError,
    AttributeError,
    ImproperlyConfigured,
    LookupError,
    OAuth2Error,
    ProviderException,
    RequestException,
    TypeError,
    ValueError,
)


class ProviderMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if is_providers(request) and request.method == "POST" and response.status_code == 302:
            # Chrome applies form-action of a Content-Security-Policy to the redirects after a form.
            context = {"url": response.url, "provider": provider_of(request)}
            response = render(request, "socialaccount/continue.html", context)
            add_never_cache_headers(response)
        return response

    def process_view(self, request, view, args, kwargs):
        if not is_providers(request):
            return None
        if not request.resolver_match.url_name.endswith((BEGIN, RETURN)):
            # Such as Google's One Tap, whose check against forgery a workspace's host can pass.
            raise Http404
        try:
            provider_of(request)
        except SocialApp.DoesNotExist:  # has no keys
            raise Http404 from None
        if request.method not in ("GET", "POST"):
            return HttpResponseNotAllowed(["GET", "POST"])
        asks = request.method == "POST" or request.resolver_match.url_name.endswith(RETURN)
        if asks and (address := client_address(request)):  # the provider may be slow
            try:
                limit("provider", address, "300/15m")
            except RateLimited as error:
                return answer_to(error, request)
        return None

    def process_exception(self, request, exception):
        """Answer with a page if the provider's answer has made the view fail."""
        if not is_providers(request) or not isinstance(exception, FAILURES):
            return None
        if hasattr(request, "answered_by_provider"):  # the fault is behind it, and ours
            return None
        return render_authentication_error(request, provider_of(request), exception=exception)


def is_providers(request) -> bool:
    match = request.resolver_match
    return match is not None and match.func.__module__.startswith(PROVIDERS)


def provider_of(request):
    match = request.resolver_match
    name = match.kwargs.get("provider_id") or match.url_name.rpartition("_")[0]
    return get_adapter().get_provider(request, name)
