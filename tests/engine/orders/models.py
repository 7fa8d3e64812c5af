"""A library's app of the tenants, whose models refer to shared ones."""

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models

from engine.market.models import Contract, Plan


class Order(models.Model):
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE)
    buyer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True)
    tenant = models.ForeignKey(settings.TENANT_MODEL, on_delete=models.CASCADE, null=True)
    customer = models.ForeignKey(
        settings.TENANT_ORGANIZATION_MODEL, on_delete=models.CASCADE, null=True, blank=True
    )
    host = models.ForeignKey(
        settings.TENANT_DOMAIN_MODEL, on_delete=models.DO_NOTHING, null=True, blank=True
    )
    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, null=True, blank=True)
    helpers = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")
    text = models.TextField(blank=True)
    data = models.JSONField(default=dict, blank=True)

    def __str__(self):
        return f"order {self.pk}"


class Remark(models.Model):
    """Refers to any row."""

    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.BigIntegerField()
    about = GenericForeignKey()


class GoldPlan(Plan):
    """Has a row in a shared table and one in a tenant's."""


class PlanOfTenant(Plan):
    class Meta:
        proxy = True


class SharedRow(models.Model):
    """Reads a shared table."""

    name = models.CharField(max_length=20)

    class Meta:
        managed = False
        db_table = "market_plan"
