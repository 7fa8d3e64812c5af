from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm, PasswordResetForm
from django.core.exceptions import ValidationError


class SignInForm(AuthenticationForm):
    """Signs in a member of the tenant whose host is asked."""

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": "There is nobody of this name, or the password is another.",
    }

    def confirm_login_allowed(self, user):
        super().confirm_login_allowed(user)
        if not user.has_tenant_permissions():
            raise ValidationError(
                f"{user} is no member of {self.request.tenant}.", code="not_a_member"
            )


class ForgottenPasswordForm(PasswordResetForm):
    """Mails a link to a member of the tenant whose host is asked, and nothing to anybody else."""

    def get_users(self, email):
        # Also to who has no password yet, whom Django's own leaves to other ways of signing in.
        people = get_user_model().objects.filter(email=email, is_active=True)
        return (user for user in people if user.has_tenant_permissions())

    def save(self, **options):
        super().save(**options | {"extra_email_context": {"tenant": options["request"].tenant}})
