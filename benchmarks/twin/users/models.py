from django.db import models
from tenant_users.tenants.models import UserProfile


class User(UserProfile):
    name = models.CharField(max_length=200, blank=True)
