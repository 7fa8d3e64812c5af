from django.db import models
from tenancy.models import AbstractDomain, AbstractOrganization, AbstractTenant


class Organization(AbstractOrganization):
    vat_number = models.CharField(max_length=20, blank=True)
    logo = models.FileField(upload_to="customers", blank=True)


class Region(models.Model):
    """A shared table to which tenants refer."""

    code = models.CharField(max_length=10, unique=True)

    def natural_key(self):
        return (self.code,)

    class Manager(models.Manager):
        def get_by_natural_key(self, code):
            return self.get(code=code)

    objects = Manager()

    def __str__(self):
        return self.code


class Tenant(AbstractTenant):
    class Plan(models.TextChoices):
        FREE = "free"
        TEAM = "team"
        ENTERPRISE = "enterprise"

    plan = models.CharField(max_length=20, choices=Plan, default=Plan.FREE)
    region = models.ForeignKey(Region, on_delete=models.PROTECT, null=True, blank=True)
    logo = models.FileField(upload_to="logos", blank=True)
    # A unique value isn't copied.
    customer_number = models.CharField(max_length=20, unique=True, null=True, blank=True)


class Domain(AbstractDomain):
    purpose = models.CharField(max_length=50, blank=True)
