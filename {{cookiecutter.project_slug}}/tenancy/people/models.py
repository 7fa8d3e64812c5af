"""People: each exists once, whatever number of tenants they belong to."""

from collections.abc import Iterator

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from tenant_users.permissions.functional import tenant_cached_property
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import (
    DeleteError,
    ExistsError,
    UserProfile,
    UserProfileManager,
)

from tenancy import roles
from tenancy.fields import LowerCaseCharField, LowerCaseEmailField

# These patterns mean the same to Python and to PostgreSQL, which has them as constraints.
USERNAME = r"\A[a-z0-9][a-z0-9_.-]{0,63}\Z"
USERNAME_RULE = (
    "A user name takes up to 64 letters, digits, dots, hyphens and underscores, and begins with a"
    " letter or digit, like “ada.lovelace”."
)

# What `tenancy.people.accounts.anonymise` leaves.
GONE = r"\Agone-[0-9]+\Z"
GONE_RULE = "A user name like “gone-17” is for who was anonymised."

# ASCII without capitals and brackets. What else is a capital depends on the database's locale.
EMAIL = r"\A[!-?^-~]+@[!-?^-~]+\Z"
EMAIL_RULE = "An e-mail address takes ASCII letters, digits and signs, like “ada@example.com”."


def validate_username(username: str) -> None:
    """Raises ValidationError, with a sentence for a person."""
    RegexValidator(USERNAME, USERNAME_RULE)(username)


def validate_not_gone(username: str) -> None:
    """Raises ValidationError for a name that only an anonymised person has."""
    RegexValidator(GONE, GONE_RULE, inverse_match=True)(username)


def validate_email(email: str) -> None:
    """Raises ValidationError if `email`, which Django takes for one, has two spellings."""
    RegexValidator(EMAIL, EMAIL_RULE)(email)


NOT_DELETED = (
    "Users are not deleted, for what they wrote is theirs:"
    " `tenancy.people.accounts.deactivate` ends sessions and memberships."
)


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

    def _create_user(self, email, password, **fields):
        # The library's would bring a deactivated person back, under the new name and password.
        if self.filter(email=email).exists():
            raise ExistsError("Somebody has this e-mail.")
        return super()._create_user(email, password, **fields)

    def delete_user(self, user_obj):
        """Raises DeleteError: the library's deletes the tenants that the person owns."""
        raise DeleteError(NOT_DELETED)

    def called(self, name: str) -> dict[str, str]:
        return {"email" if "@" in name else "username": name}


class AbstractUser(UserProfile):
    """A person, who signs in with user name or e-mail; rights are per tenant."""

    username = LowerCaseCharField(
        _("user name"),
        max_length=254,  # the sign-in form, which takes e-mails as well, goes by this length
        unique=True,
        validators=[validate_username, validate_not_gone],
    )
    email = LowerCaseEmailField(_("e-mail"), unique=True, validators=[validate_email])

    name = models.CharField(_("name"), max_length=150, blank=True)
    language = models.CharField(_("language"), max_length=20, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=50, blank=True)
    # A session ends when this number changes, in every tenant.
    session_epoch = models.PositiveIntegerField(default=0, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS = ["email"]

    class Meta:
        abstract = True
        ordering = ["username"]
        constraints = [
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_username", condition=Q(username__regex=USERNAME)
            ),
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_email", condition=Q(email__regex=EMAIL)
            ),
        ]

    def __str__(self):
        return self.username

    @tenant_cached_property
    def membership(self) -> UserTenantPermissions | None:
        """The person's rights in the current tenant, None for a person who is no member.

        Its `role` is a key of TENANCY_ROLES, `owner`, or None.
        """
        rows = UserTenantPermissions.objects.filter(profile_id=self.pk)
        rights = rows.annotate(role=roles.role_name()).first()
        return rights and roles.restrict(rights, rights.role)

    @property
    def tenant_perms(self) -> UserTenantPermissions:
        """What the library goes by. Raises UserTenantPermissions.DoesNotExist for no member."""
        if self.membership is None:
            raise UserTenantPermissions.DoesNotExist
        return self.membership

    def get_session_auth_hash(self) -> str:
        """What a session holds for: this password, and this membership of the current tenant.

        Who was removed and comes back has another, and so no session comes alive again.
        """
        return self.of_membership(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        return map(self.of_membership, super().get_session_auth_fallback_hash())

    def of_membership(self, text: str) -> str:
        return f"{text}.{self.session_epoch}.{self.membership.pk if self.membership else None}"

    def delete(self, *args, **kwargs):
        """Raises DeleteError, also with the library's `force_drop`."""
        raise DeleteError(NOT_DELETED)
