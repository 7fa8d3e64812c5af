"""Who owns what: an Organization owns tenants, a Tenant has one schema, Domains lead to it.

What becomes of a tenant is in `server.tenants.lifecycle`, and a TenantChange tells of it.
"""

import threading

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Q
from django_tenants.models import DomainMixin
from django_tenants.utils import get_public_schema_name
from tenant_users.constants import TENANT_CACHE_NAME
from tenant_users.tenants.models import DeleteError, TenantBase

from server.fields import Normalised
from server.roles.models import Role, put_into_group
from server.tenants import hosts
from server.tenants.guards import SchemaNotReady, WrongTenant

NOT_DELETED = "A tenant's row and schema are not deleted: `server.tenants.lifecycle` has the ways."
NOT_REMOVED = "Call `server.tenants.members.remove_member`, which ends sessions and is logged."
NOT_GIVEN_AWAY = "Call `server.tenants.lifecycle.transfer`: the old owner stays a member there."


class Organization(models.Model):
    """A customer."""

    name = models.CharField(max_length=200, unique=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class TenantQuerySet(models.QuerySet):
    def active(self):
        """Those whose hosts answer, the main website among them."""
        return self.filter(status=Tenant.Status.ACTIVE)

    def delete(self):
        """Raises DeleteError: a row that goes leaves a schema that nobody knows."""
        raise DeleteError(NOT_DELETED)

    def to_migrate(self):
        """Those whose schema is finished and stays, whether or not they can be entered."""
        return self.exclude(schema_name=get_public_schema_name()).exclude(
            status__in=Tenant.WITHOUT_SCHEMA
        )


class TenantManager(models.Manager.from_queryset(TenantQuerySet)):
    """The tenants that can be entered, whether or not their hosts answer."""

    def get_queryset(self):
        return super().get_queryset().exclude(status__in=Tenant.WITHOUT_SCHEMA)


IS_PUBLIC = Q(schema_name="public", slug="public")


class Tenant(TenantBase):
    """A workspace with a schema of its own; that with the schema `public` is the main website."""

    class Status(models.TextChoices):
        PROVISIONING = "provisioning"
        ACTIVE = "active"
        SUSPENDED = "suspended"
        DELETED = "deleted"
        PURGING = "purging"

    # Their schema isn't finished, or is about to go.
    WITHOUT_SCHEMA = (Status.PROVISIONING, Status.PURGING)

    name = models.CharField(max_length=200)
    slug = models.SlugField(
        max_length=hosts.SLUG_LENGTH, unique=True, validators=[hosts.validate_slug]
    )
    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, null=True, related_name="tenants"
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
    everything = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                name="tenant_has_organization",
                condition=Q(schema_name="public") | Q(organization__isnull=False),
            ),
            models.CheckConstraint(
                name="tenant_slug",
                condition=IS_PUBLIC
                | Q(slug__regex=hosts.SLUG) & ~Q(slug__in=sorted(hosts.RESERVED_SLUGS)),
            ),
            models.CheckConstraint(
                name="tenant_schema_name",
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
        connection.switch(*before)
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

    def _check_schema_name_is_unique(self):
        """The library looks for one in capitals, which the constraint excludes."""

    def add_user(self, user_obj, **rights):
        """As the library's, for its own ways of making people; `members.add_member` has a log."""
        # There it may say that the user is no member.
        vars(user_obj).get(TENANT_CACHE_NAME, {}).pop(self.schema_name, None)
        with transaction.atomic(), self:
            super().add_user(user_obj, **rights)
            put_into_group(user_obj.pk, Role.ADMIN if rights.get("is_superuser") else Role.MEMBER)
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


class HostField(Normalised, models.CharField):
    def normalise(self, text):
        return hosts.normalise_host(text) or text


class Domain(DomainMixin):
    """A host name that leads to a tenant."""

    domain = HostField(max_length=253, unique=True, validators=[hosts.validate_host])
    # An earlier host of the tenant. Others that aren't the primary one answer as it does.
    redirects = models.BooleanField("redirects to the primary domain", default=False)

    class Meta:
        ordering = ["domain"]
        constraints = [
            models.CheckConstraint(name="domain_host", condition=Q(domain__regex=hosts.HOST))
        ]


class TenantChange(models.Model):
    """A line of the log: what was done to a tenant, which may be purged by now, or to a person."""

    at = models.DateTimeField(auto_now_add=True)
    by = models.CharField(max_length=254)
    move = models.CharField(max_length=20)
    # Who joined, left, got another role or was deactivated; then there may be no tenant.
    username = models.CharField("user", max_length=254, blank=True, db_index=True)
    slug = models.CharField(max_length=hosts.SLUG_LENGTH, blank=True, db_index=True)
    schema_name = models.CharField(max_length=63, blank=True, db_index=True)
    before = models.TextField("from")
    after = models.TextField("to")

    class Meta:
        ordering = ["-pk"]

    def __str__(self):
        return " ".join(filter(None, [self.move, self.username, self.slug]))


class Blueprint(models.Model):
    """The one row: what `server.tenants.blueprint` makes a new tenant's schema from."""

    key = models.CharField(max_length=64, primary_key=True)
    template_name = models.CharField(max_length=63)
    statements = models.TextField()
    checksum = models.CharField(max_length=64)

    def __str__(self):
        return self.key
