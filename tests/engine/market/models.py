"""A library's shared app, with admins that it registers on Django's site."""

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.contenttypes.fields import GenericRelation
from django.db import models


class Plan(models.Model):
    name = models.CharField(max_length=20)
    icon = models.FileField(upload_to="icons", blank=True)
    remarks = GenericRelation("orders.Remark")

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return f"/plans/{self.name}/"


class Contract(models.Model):
    """Belongs to a tenant."""

    tenant = models.ForeignKey(settings.TENANT_MODEL, on_delete=models.CASCADE)
    text = models.FileField(upload_to="contracts")
    remarks = GenericRelation("orders.Remark")


class Discount(models.Model):
    """Refers to a model that each schema has."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE)
