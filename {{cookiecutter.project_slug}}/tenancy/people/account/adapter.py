"""What django-allauth asks the project about accounts (ACCOUNT_ADAPTER)."""

from types import SimpleNamespace
from urllib.parse import urlsplit

import idna
from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.core import context
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django_tenants.utils import get_public_schema_name

from tenancy import hosts
from tenancy.concrete import Tenant, User
from tenancy.emails import as_html
from tenancy.limits import limit
from tenancy.people.accept_next import accepted_next
from tenancy.people.accounts import join_main_website, new_username
from tenancy.people.confirmation import is_confirmed, keep_confirmation
from tenancy.people.mfa.required import SIGNED_UP
from tenancy.preferences import preferences_of
from tenancy.requests.address import client_address, client_ip

OWN_STAGES = {"allauth.mfa.stages.AuthenticateStage": "tenancy.people.mfa.stages.SecondFactorStage"}
SECOND_FACTORS = {  # ways to show that it is still the same person
    "mfa_reauthenticate": _("Use your authenticator app or a recovery code"),
    "mfa_reauthenticate:webauthn": _("Use a passkey"),
}


class AccountAdapter(DefaultAccountAdapter):
    error_messages = DefaultAccountAdapter.error_messages | {
        f"{name}_password_mismatch": _("The user name or the password is wrong.")
        for name in ("email", "username")
    }

    def is_open_for_signup(self, request):
        return settings.SIGN_UP

    def clean_email(self, email):
        """Return the address as the model accepts it, its domain in ASCII."""
        local, at, domain = email.strip().lower().rpartition("@")
        if not domain.isascii():
            try:
                domain = idna.encode(domain, uts46=True).decode()
            except idna.IDNAError:
                raise ValidationError(gettext("Enter a valid email address.")) from None
        return User._meta.get_field("email").clean(f"{local}{at}{domain}", None)

    def new_user(self, request):
        user = super().new_user(request)
        user.is_signing_up = True
        if get_language() != settings.LANGUAGE_CODE:
            user.language = get_language()  # of the browser; e-mails will come in it
        return user

    def populate_username(self, request, user):
        user.username = user.username or new_username(user.email)

    def save_user(self, request, user, form, commit=True):
        user = super().save_user(request, user, form, commit=False)
        if commit:
            join_main_website(user)
        return user

    def authenticate(self, request, **credentials):
        return super().authenticate(request, is_sign_in=True, **credentials)

    def login(self, request, user):
        # Verifying an address may have taken the password away, after `user` was loaded.
        user.refresh_from_db(fields=["password", "session_epoch"])
        # None after sign-up, which ends with a code.
        methods = [record["method"] for record in get_authentication_records(request, user)]
        super().login(request, user)
        method = methods[-1] if methods else "code"
        if method != "socialaccount":  # a provider may have asked the person for nothing
            keep_confirmation(request, method)

    def get_login_redirect_url(self, request):
        """Lead a person without a workspace and another goal to the page that makes one."""
        if goal := accepted_next(request):
            return goal
        if settings.SIGN_UP and not request.user.is_staff and not is_anywhere(request.user):
            return reverse("workspace-new")
        return super().get_login_redirect_url(request)

    get_signup_redirect_url = get_login_redirect_url

    def post_login(self, request, user, **details):
        if details["signup"]:
            request.session[SIGNED_UP] = True
        return super().post_login(request, user, **details)

    def get_login_stages(self):
        return [OWN_STAGES.get(stage, stage) for stage in super().get_login_stages()]

    def get_reauthentication_methods(self, user):
        """Return those with a second factor, if the person has one: less would be a way around."""
        methods = super().get_reauthentication_methods(user)
        second_factors = [
            method | {"description": SECOND_FACTORS[method["id"]]}
            for method in reversed(methods)  # a passkey first
            if method["id"] in SECOND_FACTORS
        ]
        return second_factors or methods

    def get_password_change_redirect_url(self, request):
        return reverse("account")

    def can_delete_email(self, email_address):
        return not email_address.primary  # `User.email` is never empty

    def is_reauthentication_required(self, *, app, **options):
        if is_confirmed(self.request, app_settings.REAUTHENTICATION_TIMEOUT / 60):
            return False
        return super().is_reauthentication_required(app=app, **options)

    def is_safe_url(self, url):
        # The library's accepts each host in ALLOWED_HOSTS, which can be all.
        request = context.request
        return url_has_allowed_host_and_scheme(url, {request.get_host()}, request.is_secure())

    def get_client_ip(self, request):
        return str(client_ip(request) or "0.0.0.0")  # noqa: S104 (unknown: a socket has none)

    # E-mails

    def send_mail(self, template_prefix, email, context):
        self.count_mail(email)
        domain = urlsplit(hosts.main_website_url()).netloc
        site = SimpleNamespace(name=self.request.tenant.name, domain=domain)
        urls = {
            name: hosts.main_website_url(urlsplit(value).path)  # not as the Host header says
            for name, value in context.items()
            if name.endswith("_url") and value
        }
        with preferences_of(email):
            super().send_mail(template_prefix, email, context | urls | {"current_site": site})

    def count_mail(self, email):
        """Keep anybody from filling a mailbox. Raises RateLimited."""
        if self.request.user.is_authenticated:
            return limit("mail-person", str(self.request.user.pk), "30/1h")
        address = client_address(self.request)
        limit("mail", f"{email} {address}", "5/15m")
        limit("mail-recipient", email, "20/1h")
        if address:
            limit("mail-address", address, "60/1h")
        return None

    def format_email_subject(self, subject):
        return subject

    def render_mail(self, template_prefix, email, context, headers=None):
        message = super().render_mail(template_prefix, email, context, headers)
        message.attach_alternative(as_html(message.body, context), "text/html")
        return message


def is_anywhere(user: User) -> bool:
    """Return whether the person is in a workspace, or has begun to make one."""
    tenants = Tenant.all_objects.exclude(schema_name=get_public_schema_name())
    return tenants.filter(Q(owner=user) | Q(user_set=user)).exists()
