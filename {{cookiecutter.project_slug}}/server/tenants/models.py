"""Who owns what: an Organization owns tenants, a Tenant has one schema, Domains lead to it."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django_tenants.models import DomainMixin
from tenant_users.tenants.models import TenantBase

from server.tenants import hosts


class Organization(models.Model):
    """A customer."""

    name = models.CharField(max_length=200, unique=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Tenant(TenantBase):
    """A workspace with a schema of its own; that with the schema `public` is the main website."""

    class Status(models.TextChoices):
        PROVISIONING = "provisioning"
        ACTIVE = "active"

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

    # Only provisioning makes a schema, and saving or deleting a row touches none.
    auto_create_schema = False
    auto_drop_schema = False

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                name="tenant_has_organization",
                condition=Q(schema_name="public") | Q(organization__isnull=False),
            )
        ]

    def __str__(self):
        return self.name


class Domain(DomainMixin):
    """A host name that leads to a tenant."""

    domain = models.CharField(max_length=253, unique=True, validators=[hosts.validate_host])

    class Meta:
        ordering = ["domain"]
