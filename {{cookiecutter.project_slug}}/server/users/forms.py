from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError


class SignInForm(AuthenticationForm):
    """Signs in a member of the tenant whose host is asked."""

    def confirm_login_allowed(self, user):
        super().confirm_login_allowed(user)
        if not user.has_tenant_permissions():
            raise ValidationError(
                f"{user} is no member of {self.request.tenant}.", code="not_a_member"
            )
