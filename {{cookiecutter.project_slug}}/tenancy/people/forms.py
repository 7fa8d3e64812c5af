from django.contrib.auth.forms import AuthenticationForm, PasswordResetForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenancy.concrete import User
from tenancy.emails import send_email


class SignInForm(AuthenticationForm):
    """Signs in a member of the tenant at whose host it is shown."""

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": _("The user name or the password is wrong."),
    }

    def confirm_login_allowed(self, user):
        super().confirm_login_allowed(user)
        if not user.has_tenant_permissions():
            message = gettext("You don't have access to %(tenant)s.")
            raise ValidationError(message % {"tenant": self.request.tenant}, code="not_a_member")


class ForgottenPasswordForm(PasswordResetForm):
    """Sends a link to a member of the tenant at whose host it is shown, and to nobody else."""

    def get_users(self, email):
        # Django's own leaves out people without a password, who are invited and set their first.
        people = User.objects.filter(email=email, is_active=True)
        return (user for user in people if user.has_tenant_permissions())

    def save(self, **options):
        super().save(**options | {"extra_email_context": {"tenant": options["request"].tenant}})

    def send_mail(self, subject, body, context, from_email, to_email, **options):
        send_email("password_reset", to_email, context)
