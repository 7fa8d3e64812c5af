"""People. Each exists once and can belong to many tenants."""

from django.core.validators import RegexValidator
from django.db import connection, models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_tenants.utils import get_public_schema_name
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import ExistsError, UserProfile, UserProfileManager

from tenancy.fields import LowerCaseCharField, LowerCaseEmailField, constraint
from tenancy.isolation.membership import Membership, membership_of
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
            raise ExistsError(gettext("Another user has this e-mail."))
        # The operator vouches for the address. Without a password, the person confirms it.
        fields["is_verified"] = fields.get("is_verified") or password is not None
        return super()._create_user(email, password, **fields)


class ActiveField(models.BooleanField):
    """The column `is_active`, whose value is the attribute `is_active_anywhere`.

    The attribute `is_active` says what holds in the current tenant, where a person who is nobody is
    inactive: so libraries refuse them. What Django saves, copies, compares and refreshes is the
    value of the column, as it is a foreign key's `user_id` and not its `user`.
    """

    def deconstruct(self):
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.BooleanField", args, kwargs

    def get_attname(self):
        return "is_active_anywhere"

    def get_attname_column(self):
        return self.get_attname(), self.db_column or self.name

    def contribute_to_class(self, cls, name, **options):
        super().contribute_to_class(cls, name, **options)
        setattr(cls, name, property(is_active, set_active))


def is_active(user) -> bool:
    """Return False for a deactivated person, and for one who is nobody in the current tenant."""
    return user.is_active_anywhere and user.is_somebody


def set_active(user, value: bool) -> None:
    """Change the value of the column, unless it is what the current tenant is told.

    So a form that writes what it has read deactivates nobody.
    """
    if value != user.is_active:
        user.is_active_anywhere = value


class AbstractUser(UserProfile):
    """A person, who signs in with user name or e-mail. Rights are per tenant."""

    username = LowerCaseCharField(
        _("user name"),
        max_length=254,  # the sign-in form takes its length from here, and accepts e-mails too
        unique=True,
        validators=[validate_username, validate_not_gone],
    )
    email = LowerCaseEmailField(_("e-mail"), unique=True, validators=[validate_email])

    # `is_verified`, the library's: the e-mail, or an earlier one, was confirmed. Until then the
    # account belongs to nobody (see `tenancy.people.account.receivers`).

    is_active = ActiveField(_("active"), default=True)
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

    @property
    def membership(self) -> Membership | None:
        """What the person may in the current tenant, or None for nobody."""
        return membership_of(self, connection.tenant)

    @property
    def is_somebody(self) -> bool:
        """Return whether libraries may take the person for a user of the current tenant.

        It is True for all people on the main website, and for an object that was never saved.
        """
        if self._state.adding or connection.schema_name == get_public_schema_name():
            return True
        return self.membership is not None

    @property
    def is_authenticated(self) -> bool:
        return self.is_somebody

    @property
    def is_anonymous(self) -> bool:
        return not self.is_somebody

    def has_tenant_permissions(self) -> bool:
        """The library's name for it."""
        return self.membership is not None

    @property
    def tenant_perms(self) -> UserTenantPermissions:
        """The person's row in the tenant. Raises UserTenantPermissions.DoesNotExist."""
        if self.membership is None or self.membership.rights is None:
            raise UserTenantPermissions.DoesNotExist
        return self.membership.rights

    def get_session_auth_hash(self) -> str:
        """End sessions with the password, the epoch, and the membership of the current tenant.

        A person who is removed and added again has a new membership, so old sessions stay ended.
        """
        return self.of_membership(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self):
        return map(self.of_membership, super().get_session_auth_fallback_hash())

    def of_membership(self, text: str) -> str:
        rights = self.membership and self.membership.rights
        return f"{text}.{self.session_epoch}.{rights.pk if rights else None}"
