"""People: each exists once, whatever number of tenants they belong to."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from tenant_users.permissions.functional import tenant_cached_property
from tenant_users.permissions.models import PermissionsMixinFacade, UserTenantPermissions
from tenant_users.tenants.models import DeleteError, UserProfile, UserProfileManager

from server.users.fields import LowerCaseCharField, LowerCaseEmailField

# These patterns mean the same to Python and to PostgreSQL, which has them as constraints.
USERNAME = r"\A[a-z0-9][a-z0-9_.-]{0,63}\Z"
USERNAME_RULE = (
    "A user name takes up to 64 letters, digits, dots, hyphens and underscores, and begins with a"
    " letter or digit, like “ada.lovelace”."
)

# ASCII without capitals and brackets. What else is a capital depends on the database's locale.
EMAIL = r"\A[!-?^-~]+@[!-?^-~]+\Z"
EMAIL_RULE = "An e-mail address takes ASCII letters, digits and signs, like “ada@example.com”."


def validate_username(username: str) -> None:
    """Raises ValidationError, with a sentence for a person."""
    RegexValidator(USERNAME, USERNAME_RULE)(username)


def validate_email(email: str) -> None:
    """Raises ValidationError if `email`, which Django takes for one, has two spellings."""
    RegexValidator(EMAIL, EMAIL_RULE)(email)


NOT_DELETED = "Users are not deleted, for what they wrote is theirs: set is_active to False."


class UserQuerySet(models.QuerySet):
    def delete(self):
        """Raises DeleteError."""
        raise DeleteError(NOT_DELETED)


class UserManager(UserProfileManager.from_queryset(UserQuerySet)):
    def get_by_natural_key(self, name: str):
        """The user with this user name or e-mail. Raises User.DoesNotExist."""
        return self.get(**self.called(name))

    async def aget_by_natural_key(self, name: str):
        return await self.aget(**self.called(name))

    def called(self, name: str) -> dict[str, str]:
        return {"email" if "@" in name else "username": name}


class User(UserProfile):
    """A person, who signs in with user name or e-mail; rights are per tenant."""

    username = LowerCaseCharField(
        "user name",
        max_length=254,  # the sign-in form, which takes e-mails as well, goes by this length
        unique=True,
        validators=[validate_username],
    )
    email = LowerCaseEmailField("e-mail", unique=True, validators=[validate_email])

    objects = UserManager()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS = ["email"]

    class Meta:
        ordering = ["username"]
        constraints = [
            models.CheckConstraint(name="user_username", condition=Q(username__regex=USERNAME)),
            models.CheckConstraint(name="user_email", condition=Q(email__regex=EMAIL)),
        ]

    def __str__(self):
        return self.username

    @tenant_cached_property
    def membership(self) -> UserTenantPermissions | None:
        """The person's rights in the current tenant, None for who is no member."""
        try:
            return PermissionsMixinFacade.tenant_perms.func(self)
        except UserTenantPermissions.DoesNotExist:
            return None

    @property
    def tenant_perms(self) -> UserTenantPermissions:
        """What the library goes by. Raises UserTenantPermissions.DoesNotExist for no member."""
        if self.membership is None:
            raise UserTenantPermissions.DoesNotExist
        return self.membership

    def delete(self, *args, **kwargs):
        """Raises DeleteError, also with the library's `force_drop`."""
        raise DeleteError(NOT_DELETED)
