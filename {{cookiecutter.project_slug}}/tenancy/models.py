"""The engine's models: abstract ones for the project to subclass, and the engine's own records.

An organization owns tenants, a tenant has one schema, domains lead to it. `tenancy.lifecycle` and
`tenancy.copies` have the functions that change them; a TenantEvent is logged for each change.
"""

import threading

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django_tenants.models import DomainMixin, TenantMixin
from django_tenants.utils import get_public_schema_name
from tenant_users.constants import TENANT_CACHE_NAME
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import DeleteError, TenantBase

from tenancy import hosts, roles
from tenancy.exceptions import SchemaNotReady, WrongTenant
from tenancy.fields import HostField

NOT_DELETED = "A tenant's row and schema are not deleted: call a function of `tenancy.lifecycle`."
NOT_REMOVED = "Call `tenancy.people.members.remove_member`, which ends sessions and is logged."
NOT_GIVEN_AWAY = "Call `tenancy.lifecycle.transfer`: the old owner stays a member there."


class AbstractOrganization(models.Model):
    """A customer."""

    name = models.CharField(max_length=200, unique=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["name"]

    def __str__(self):
        return self.name


class Status(models.TextChoices):
    PROVISIONING = "provisioning", _("provisioning")
    ACTIVE = "active", _("active")
    SUSPENDED = "suspended", _("suspended")
    DELETED = "deleted", _("deleted")
    PURGING = "purging", _("purging")


# The schema of such a tenant isn't finished, or is about to be dropped.
WITHOUT_SCHEMA = (Status.PROVISIONING, Status.PURGING)


class TenantQuerySet(models.QuerySet):
    def active(self):
        """Those whose hosts answer, the main website among them."""
        return self.filter(status=Status.ACTIVE)

    def delete(self):
        """Raises DeleteError: a row that goes leaves a schema that nobody knows."""
        raise DeleteError(NOT_DELETED)

    def to_migrate(self):
        """Those whose schema is finished and stays, whether or not they can be entered."""
        return self.exclude(schema_name=get_public_schema_name()).exclude(status__in=WITHOUT_SCHEMA)


class TenantManager(models.Manager.from_queryset(TenantQuerySet)):
    """The tenants that can be entered, whether or not their hosts answer."""

    def get_queryset(self):
        return super().get_queryset().exclude(status__in=WITHOUT_SCHEMA)


IS_PUBLIC = Q(schema_name="public", slug="public")


class AbstractTenant(TenantBase):
    """A workspace with its own schema. The tenant with the schema `public` is the main website."""

    Status = Status

    name = models.CharField(max_length=200)
    slug = models.SlugField(
        max_length=hosts.SLUG_LENGTH, unique=True, validators=[hosts.validate_slug]
    )
    organization = models.ForeignKey(
        settings.TENANT_ORGANIZATION_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="tenants",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="owned_tenants"
    )
    status = models.CharField(
        max_length=20, choices=Status, default=Status.PROVISIONING, editable=False
    )
    # Of a deleted tenant: what it was, and since when it is deleted.
    status_before = models.CharField(max_length=20, choices=Status, blank=True, editable=False)
    deleted = models.DateTimeField(null=True, editable=False)
    # While the background makes it: what was said last.
    progress = models.TextField(blank=True, editable=False)
    # What it was made of, such as “clone of first”; empty for one that was made anew.
    origin = models.TextField(blank=True, editable=False)

    # The host that a request is redirected to, where it came to an earlier one (see routes.py).
    moved_to = None

    # Where `with tenant:` goes back to. The library keeps this for all threads together.
    _entered = threading.local()

    # Only provisioning makes a schema, and saving or deleting a row touches none.
    auto_create_schema = False
    auto_drop_schema = False

    objects = TenantManager()
    all_objects = TenantQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_organization",
                condition=Q(schema_name="public") | Q(organization__isnull=False),
            ),
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_slug",
                condition=IS_PUBLIC | Q(slug__regex=hosts.SLUG),
            ),
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_schema_name",
                condition=IS_PUBLIC | Q(schema_name__regex=hosts.SCHEMA_NAME),
            ),
        ]

    def __str__(self):
        return self.name

    def __enter__(self):
        before = connection.tenant, connection.include_public_schema
        self.activate()
        self._entered.__dict__.setdefault("stack", []).append((self, before))
        return self

    def __exit__(self, *error):
        entered, before = self._entered.stack.pop()
        connection.set_tenant_unchecked(*before)
        if entered is not self:
            raise WrongTenant(f"{self.slug} was left while the current tenant was {entered.slug}.")

    def check_schema(self):
        """Raises SchemaNotReady while the tenant is being made, or purged.

        The database backend asks. Code may enter a suspended or a deleted tenant, as migrations
        and backups must; no request gets that far.
        """
        if self.status == self.Status.PROVISIONING:
            raise SchemaNotReady(f"The schema of {self.slug} isn't finished.")
        if self.status == self.Status.PURGING:
            raise SchemaNotReady(f"The schema of {self.slug} is being purged.")

    def save(self, *args, **kwargs):
        """Save the row. Unlike the library's `save`, it makes no schema and sends no signal."""
        super(TenantMixin, self).save(*args, **kwargs)

    def add_user(self, user_obj, **rights):
        """As the library's, for its own ways of making people; `members.add_member` has a log."""
        # There it may say that the user is no member.
        vars(user_obj).get(TENANT_CACHE_NAME, {}).pop(self.schema_name, None)
        with transaction.atomic(), self:
            super().add_user(user_obj, **rights)
            role = roles.ADMIN if rights.get("is_superuser") else roles.MEMBER
            roles.assign_role(user_obj.pk, role)
        # Else the user keeps, and takes along to other tenants, the row with this one's rights.
        user_obj._state.fields_cache.pop("usertenantpermissions", None)

    def delete(self, *args, **kwargs):
        """Raises DeleteError, also with the library's `force_drop`."""
        raise DeleteError(NOT_DELETED)

    def delete_tenant(self):
        """Raises DeleteError: the library's takes domains and members away for good."""
        raise DeleteError(NOT_DELETED)

    def remove_user(self, user_obj):
        """Raises DeleteError: the library's leaves sessions that come alive again."""
        raise DeleteError(NOT_REMOVED)

    def transfer_ownership(self, new_owner):
        """Raises DeleteError: the library's takes the old owner's membership."""
        raise DeleteError(NOT_GIVEN_AWAY)

    def _drop_schema(self, force_drop=False):
        raise DeleteError(NOT_DELETED)


class AbstractDomain(DomainMixin):
    """A host name that leads to a tenant."""

    domain = HostField(max_length=253, unique=True, validators=[hosts.validate_host])
    # An earlier host of the tenant. Others that aren't the primary one answer as it does.
    redirects = models.BooleanField("redirects to the primary domain", default=False)

    class Meta:
        abstract = True
        ordering = ["domain"]
        constraints = [
            models.CheckConstraint(
                name="%(app_label)s_%(class)s_host", condition=Q(domain__regex=hosts.HOST)
            )
        ]


class TenantEvent(models.Model):
    """A line of the log: what was done to a tenant, or to a person. It outlives the tenant."""

    at = models.DateTimeField(auto_now_add=True)
    by = models.CharField(max_length=254)
    action = models.CharField(max_length=40)
    # The person who joined, left, got another role or was deactivated. Then there may be no tenant.
    username = models.CharField(_("user"), max_length=254, blank=True, db_index=True)
    slug = models.CharField(max_length=hosts.SLUG_LENGTH, blank=True, db_index=True)
    schema_name = models.CharField(max_length=63, blank=True, db_index=True)
    before = models.TextField(_("from"))
    after = models.TextField(_("to"))

    class Meta:
        ordering = ["-pk"]

    def __str__(self):
        return " ".join(filter(None, [self.action, self.username, self.slug]))


class Member(UserTenantPermissions):
    """A person in the current tenant."""

    class Meta:
        proxy = True
        default_permissions = ()  # owners and admins may see and change members, nobody else
        ordering = ["profile__username"]
        verbose_name = _("member")
        verbose_name_plural = _("members")


class Blueprint(models.Model):
    """The one row: `tenancy.schemas.blueprint` makes new schemas from it."""

    key = models.CharField(max_length=64, primary_key=True)
    template_name = models.CharField(max_length=63)
    statements = models.TextField()
    checksum = models.CharField(max_length=64)

    def __str__(self):
        return self.key
