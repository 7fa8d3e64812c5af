from django.conf import settings
from django.db import models
from rest_framework.authtoken.models import Token


class Key(models.Model):
    """A credential of the project's own, named in TENANCY_CREDENTIALS."""

    secret = models.CharField(max_length=40)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)


class Hook(models.Model):
    """Can be without a credential."""

    name = models.CharField(max_length=40)
    token = models.ForeignKey(Token, on_delete=models.SET_NULL, null=True)


class Use(models.Model):
    """Can't be without one."""

    key = models.ForeignKey(Key, on_delete=models.CASCADE)
