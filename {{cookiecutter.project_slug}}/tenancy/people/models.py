"""People. Each exists once and can belong to many tenants."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from tenant_users.permissions.functional import tenant_cached_property
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import ExistsError, UserProfile, UserProfileManager

from tenancy import roles
from tenancy.fields import LowerCaseCharField, LowerCaseEmailField, constraint
from tenancy.models import refused, seen_tenants

# Python and PostgreSQL read these patterns in the same way. PostgreSQL has them as constraints.
USERNAME = r"\A[a-z0-9][a-z0-9_.-]{0,63}\Z"
# ASCII without capitals and brackets: which other letters are capitals depends on the locale.
EMAIL = r"\A[!-?^-~]+@[!-?^-~]+\Z"


def validate_username(username: str) -> None:
    RegexValidator(
        USERNAME,
        _(
            "A user name takes up to 64 letters, digits, dots, hyphens and underscores, and begins"
            " with a letter or digit, like “ada.lovelace”."
        ),
    )(username)


def validate_not_gone(username: str) -> None:
    """Refuse the names that `tenancy.people.accounts.anonymise` gives."""
    message = _("A user name like “gone-17” is for people who were anonymised.")
    RegexValidator(r"\Agone-[0-9]+\Z", message, inverse_match=True)(username)


def validate_email(email: str) -> None:
    """Refuse addresses that Django accepts, but that have two spellings."""
    message = _("An e-mail address takes ASCII letters, digits and signs, like “ada@example.com”.")
    RegexValidator(EMAIL, message)(email)


not_deleted = refused(
    "Users are not deleted, because what they wrote refers to them."
    " Call `tenancy.people.accounts.deactivate`, which ends sessions and memberships."
)


class UserQuerySet(models.QuerySet):
    delete = not_deleted


class UserManager(UserProfileManager.from_queryset(UserQuerySet)):
    delete_user = not_deleted  # the library's deletes the tenants that the person owns

    def get_by_natural_key(self, name: str):
        """Return the user with this user name or e-mail. Raises User.DoesNotExist."""
        return self.get(**self.natural_key(name))

    async def aget_by_natural_key(self, name: str):
        return await self.aget(**self.natural_key(name))

    def natural_key(self, name: str) -> dict[str, str]:
        return {"email" if "@" in name else "username": name}

    def create_superuser(self, username: str, email: str, password: str | None = None, **fields):
        """Make a person with all rights at the main website. The order is that of Django."""
        return super().create_superuser(password, email, username=username, **fields)

    def _create_user(self, email, password, **fields):
        # Before PostgreSQL refuses the row, and quotes it: arguments may be in the wrong order.
        validate_username((fields.get("username") or "").lower())
        validate_email((email or "").lower())
        # The library's would reactivate a person, with the new name and password.
        if self.filter(email=email).exists():
            raise ExistsError("Another user has this e-mail.")
        return super()._create_user(email, password, **fields)


class AbstractUser(UserProfile):
    """A person, who signs in with user name or e-mail. Rights are per tenant."""

    username = LowerCaseCharField(
        _("user name"),
        max_length=254,  # the sign-in form takes its length from here, and accepts e-mails too
        unique=True,
        validators=[validate_username, validate_not_gone],
    )
    email = LowerCaseEmailField(_("e-mail"), unique=True, validators=[validate_email])

    name = models.CharField(_("name"), max_length=150, blank=True)
    language = models.CharField(_("language"), max_length=20, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=50, blank=True)
    # A change of this number ends the person's sessions in every tenant.
    session_epoch = models.PositiveIntegerField(default=0, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS = ["email"]

    class Meta:
        abstract = True
        ordering = ["username"]
        constraints = [
            constraint("username", Q(username__regex=USERNAME)),
            constraint("email", Q(email__regex=EMAIL)),
        ]

    def __str__(self):
        return self.username

    delete = not_deleted

    def shows_files_to(self, user, tenant) -> bool:
        """Show them to the person, and to the members of the same tenants."""
        return user == self or seen_tenants(user, tenant).filter(user_set=self).exists()

    @tenant_cached_property
    def membership(self) -> UserTenantPermissions | None:
        """The person's rights in the current tenant, or None without a membership.

        Its `role` is a key of TENANCY_ROLES, `owner`, or None.
        """
        rows = UserTenantPermissions.objects.filter(profile_id=self.pk)
        rights = rows.annotate(role=roles.role_name()).first()
        return rights and roles.restrict(rights, rights.role)

    @property
    def tenant_perms(self) -> UserTenantPermissions:
        """The library's name for it. Raises UserTenantPermissions.DoesNotExist."""
        if self.membership is None:
            raise UserTenantPermissions.DoesNotExist
        return self.membership

    def get_session_auth_hash(self) -> str:
        """End sessions with the password, the epoch, and the membership of the current tenant.

        A person who is removed and added again has a new membership, so old sessions stay ended.
        """
        return self.of_membership(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self):
        return map(self.of_membership, super().get_session_auth_fallback_hash())

    def of_membership(self, text: str) -> str:
        return f"{text}.{self.session_epoch}.{self.membership.pk if self.membership else None}"
