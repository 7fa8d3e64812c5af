from django.db import models
from tenancy.people.models import AbstractUser


class User(AbstractUser):
    phone = models.CharField(max_length=30, blank=True)
    preferences = models.JSONField(default=dict, blank=True)
    avatar = models.FileField(upload_to="avatars", blank=True)
