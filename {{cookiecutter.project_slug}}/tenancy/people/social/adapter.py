"""What django-allauth asks the project about providers (SOCIALACCOUNT_ADAPTER)."""

import logging
from http import HTTPStatus
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount import app_settings
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base import AuthError, AuthProcess, ProviderException
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.shortcuts import render
from django.urls import reverse

from tenancy.concrete import User
from tenancy.exceptions import one_line
from tenancy.people.accounts import unclaimed
from tenancy.people.invitations import is_invited

logger = logging.getLogger(__name__)


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def list_apps(self, request, provider=None, client_id=None):
        """Return the keys in the settings. The library's reads a table as well, on each page."""
        apps = [
            SocialApp(provider=name, **app)
            for name, options in app_settings.PROVIDERS.items()
            for app in options.get("APPS", [])
        ]
        return [
            app
            for app in apps
            if provider in (None, app.provider, app.provider_id)
            and client_id in (None, app.client_id)
        ]

    def is_auto_signup_allowed(self, request, sociallogin):
        return False  # a form asks for consent

    def can_authenticate_by_email(self, login, email):
        return False  # a provider's word opens nobody's account

    def is_open_for_signup(self, request, sociallogin):
        if super().is_open_for_signup(request, sociallogin):
            return True
        email = vouched_for(sociallogin)
        return email is not None and (unclaimed(email) is not None or is_invited(email))

    def populate_user(self, request, sociallogin, data):
        """Keep the name and the address of all that the provider has told."""
        told = sociallogin.account.extra_data
        subjects = {told[part].get("sub") for part in ("userinfo", "id_token") if part in told}
        if len(subjects) > 1 or None in subjects:
            raise ProviderException("The provider's answers aren't about one person.")
        parts = (data.get("first_name"), data.get("last_name"))
        user = sociallogin.user
        user.name = str(data.get("name") or " ".join(filter(None, parts)))[:150]
        sociallogin.account.extra_data = {"email": data.get("email") or "", "name": user.name}
        return user

    def pre_social_login(self, request, sociallogin):
        request.answered_by_provider = True
        sociallogin.token = None  # it would be kept in the session
        email = vouched_for(sociallogin)
        address = [EmailAddress(email=email, verified=True, primary=True)] if email else []
        sociallogin.email_addresses = address
        is_new = not sociallogin.is_existing
        is_sign_in = sociallogin.state.get("process") not in (
            AuthProcess.CONNECT,
            AuthProcess.REDIRECT,
        )
        if is_new and is_sign_in and email and is_taken(email):
            # They own the address, so this tells them nothing about anybody else.
            context = {"email": email, "provider": sociallogin.provider}
            page = render(request, "socialaccount/not_connected.html", context)
            raise ImmediateHttpResponse(page)

    def on_authentication_error(
        self, request, provider, error=None, exception=None, extra_context=None
    ):
        """Answer with one page, whatever went wrong."""
        state = (extra_context or {}).get("state") or {}
        goal = {"next": state["next"]} if "next" in state else {}
        was_cancelled = error == AuthError.CANCELLED
        if not was_cancelled:
            reason = one_line(exception) if exception else repr(request.GET.get("error"))
            logger.warning("Sign-in with %s failed: %.300s", provider.name, reason)
        context = {
            "provider": provider,
            "was_cancelled": was_cancelled,
            "login_url": f"{reverse('account_login')}?{urlencode(goal)}",
        }
        status = HTTPStatus.SERVICE_UNAVAILABLE if exception else HTTPStatus.BAD_REQUEST
        page = render(request, "socialaccount/authentication_error.html", context)
        page.status_code = HTTPStatus.OK if was_cancelled else status
        raise ImmediateHttpResponse(page)


def vouched_for(sociallogin: SocialLogin) -> str | None:
    """Return the address that the provider has confirmed, as the model accepts it."""
    for address in sociallogin.email_addresses:
        if address.verified:
            try:
                return get_account_adapter().clean_email(address.email)
            except ValidationError:
                continue
    return None


def is_taken(email: str) -> bool:
    people = User.objects.filter(Q(email=email) | Q(emailaddress__email=email))
    return unclaimed(email) is None and people.exists()
