"""People: each exists once, whatever number of tenants they belong to."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from tenant_users.tenants.models import DeleteError, UserProfile, UserProfileManager

from server.users.fields import LowerCaseCharField, LowerCaseEmailField

USERNAME = r"\A[a-z0-9][a-z0-9_.-]{0,63}\Z"
USERNAME_RULE = (
    "A user name takes up to 64 letters, digits, dots, hyphens and underscores, and begins with a"
    " letter or digit, like “ada.lovelace”."
)


def validate_username(username: str) -> None:
    RegexValidator(USERNAME, USERNAME_RULE)(username)


class UserQuerySet(models.QuerySet):
    def delete(self):
        """Raises DeleteError, as deleting a single user does: people are deactivated."""
        raise DeleteError("Users are not deleted, for what they wrote is theirs: set is_active.")


class UserManager(UserProfileManager.from_queryset(UserQuerySet)):
    def get_by_natural_key(self, name: str):
        """The user with this user name or e-mail. Raises User.DoesNotExist."""
        return self.get(**{"email" if "@" in name else "username": name})


class User(UserProfile):
    """A person, who signs in with user name or e-mail; rights are per tenant."""

    username = LowerCaseCharField(
        "user name",
        max_length=254,  # the sign-in form, which takes e-mails as well, goes by this length
        unique=True,
        validators=[validate_username],
    )
    email = LowerCaseEmailField("e-mail", unique=True)

    objects = UserManager()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS = ["email"]

    class Meta:
        ordering = ["username"]
        constraints = [
            models.CheckConstraint(
                name=f"user_{field}_in_lower_case", condition=Q(**{field: Lower(field)})
            )
            for field in ("username", "email")
        ]

    def __str__(self):
        return self.username
