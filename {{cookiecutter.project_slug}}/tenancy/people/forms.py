from django.contrib.auth.forms import AuthenticationForm, PasswordResetForm
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import connection
from django.utils.translation import gettext_lazy as _

from tenancy import hosts
from tenancy.concrete import User
from tenancy.emails import send_email
from tenancy.limits import limit
from tenancy.requests.address import client_address


class SignInForm(AuthenticationForm):
    """Signs in a member of the host's tenant."""

    # The same for the right password of a person without access, which it would confirm.
    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": _("The user name or the password is wrong, or you don't have access."),
    }


class ForgottenPasswordForm(PasswordResetForm):
    """Sends a link to a member of the host's tenant."""

    def save(self, **options):
        request, email = options["request"], self.cleaned_data["email"].lower()
        # For each host: only a member gets an e-mail, so only a member's are worth counting.
        limit("password-reset", f"{connection.schema_name} {email}", "5/1h")
        if address := client_address(request):
            limit("password-reset-address", address, "30/1h")
        # Of the stored domain: the Host header may have another port.
        protocol, _, domain = hosts.own_url(request, "").partition("://")
        context = {"tenant": request.tenant, "protocol": protocol}
        super().save(**options | {"domain_override": domain, "extra_email_context": context})

    def get_users(self, email):
        # Django's skips people without a password. Invited people set their first one this way.
        return (user for user in User.objects.filter(email=email) if user.is_active)

    def send_mail(self, subject, body, context, from_email, to_email, **options):
        send_email("password_reset", to_email, context)


class TenantTokenGenerator(PasswordResetTokenGenerator):
    """Makes tokens that are valid only in the tenant that made them, for one membership."""

    def _make_hash_value(self, user, timestamp):
        return user.of_membership(super()._make_hash_value(user, timestamp))

    @property
    def key_salt(self):
        return f"{connection.schema_name}:{super().key_salt}"
