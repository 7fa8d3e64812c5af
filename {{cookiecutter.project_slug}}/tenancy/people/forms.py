from django.contrib.auth.forms import AuthenticationForm, PasswordResetForm
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenancy.concrete import User
from tenancy.emails import send_email


class SignInForm(AuthenticationForm):
    """Signs in a member of the host's tenant."""

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": _("The user name or the password is wrong."),
    }

    def confirm_login_allowed(self, user):
        super().confirm_login_allowed(user)
        if not user.has_tenant_permissions():
            message = gettext("You don't have access to %(tenant)s.")
            raise ValidationError(message % {"tenant": self.request.tenant}, code="not_a_member")


class ForgottenPasswordForm(PasswordResetForm):
    """Sends a link to a member of the host's tenant."""

    def get_users(self, email):
        # Django's skips people without a password. Invited people set their first one this way.
        people = User.objects.filter(email=email, is_active=True)
        return (user for user in people if user.has_tenant_permissions())

    def save(self, **options):
        super().save(**options | {"extra_email_context": {"tenant": options["request"].tenant}})

    def send_mail(self, subject, body, context, from_email, to_email, **options):
        send_email("password_reset", to_email, context)


class TenantTokenGenerator(PasswordResetTokenGenerator):
    """Makes tokens that are valid only in the tenant that made them."""

    @property
    def key_salt(self):
        return f"{connection.schema_name}:{super().key_salt}"
