"""The project's own models, as its settings name them.

Import this where Django's models are loaded: in commands, views and receivers, not in `models.py`.
"""

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Field, Model
from django_tenants.utils import get_tenant_domain_model, get_tenant_model

Tenant = get_tenant_model()
Domain = get_tenant_domain_model()
Organization = apps.get_model(settings.TENANT_ORGANIZATION_MODEL)
User = get_user_model()


# The engine's own fields that copies keep, as they keep those that the project adds.
PROFILE = ("name", "language", "time_zone")  # of a person
CHOICES = ("logo_file", "accent", "language", "time_zone")  # of a tenant


def engine_model(model: type[Model]) -> type[Model]:
    """Return the abstract model that the project's model extends."""
    return next(base for base in model.__mro__ if base.__module__.startswith("tenancy."))


def added_fields(model: type[Model]) -> list[Field]:
    """Return the fields that the project adds to one of the engine's abstract models."""
    known = {field.name for field in engine_model(model)._meta.local_fields}
    fields = model._meta.concrete_fields
    return [field for field in fields if not field.primary_key and field.name not in known]


def editable_fields(model: type[Model]) -> list[str]:
    """Return the names of the added fields that the admin shows."""
    return [field.name for field in added_fields(model) if field.editable]
