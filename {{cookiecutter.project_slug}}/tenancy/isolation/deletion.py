"""A deletion follows the references that the current schema has.

A tenant's tables have no constraint to shared ones (`database/schema.py`), so Django alone keeps
what `on_delete` promises. It finds the rows by queries, which see one schema:

- In a tenant these are the tenant's rows. A shared row that refers by id to a model of both lists,
  such as Group, means the public schema's row, not a tenant's.
- In public nobody sees the tenants' rows. The deletion of a shared row to which they may refer is
  refused, whatever `on_delete` is, except for DO_NOTHING. Tenants and organizations are deleted
  nevertheless: what refers to them was in the schemas of these tenants.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import wraps

from django.conf import settings
from django.contrib.contenttypes.fields import GenericRelation
from django.db import connections
from django.db.models import Field, Model
from django.db.models.deletion import Collector
from django_tenants.utils import app_labels, get_public_schema_name, get_tenant_model

from tenancy.exceptions import ReferencedByTenants
from tenancy.isolation.router import is_in_tenants, managed_label

ignored: ContextVar[bool] = ContextVar("ignored", default=False)


@contextmanager
def ignoring_tenants() -> Iterator[None]:
    """In the block, delete shared rows in public without regard to the tenants' rows.

    Those that refer to them keep the ids, which then lead nowhere.
    """
    token = ignored.set(True)
    try:
        yield
    finally:
        ignored.reset(token)


def has_references(field: Field, model: type[Model], using: str) -> bool:
    """Return whether rows of the current schema can refer to rows of the model by the field.

    Raises ReferencedByTenants in the public schema, if rows of tenants may.
    """
    schema_name = getattr(connections[using], "schema_name", None)
    referring = field.related_model if isinstance(field, GenericRelation) else field.model
    if schema_name is None:  # another database
        return True
    if schema_name != get_public_schema_name():
        return is_in_tenants(referring) or not is_in_tenants(model)
    if not is_only_in_tenants(referring):
        return True
    if not (is_in_tenants(model) or ignored.get()):
        raise ReferencedByTenants(model, referring, field)
    return False


def is_only_in_tenants(model: type[Model]) -> bool:
    if not is_in_tenants(model):
        return False
    return managed_label(model._meta.concrete_model) not in app_labels(settings.SHARED_APPS)


def collects(collect):
    @wraps(collect)
    def wrapped(self, objs, *args, **kwargs):
        model = getattr(objs, "model", None) or type(next(iter(objs), None))
        tenant = get_tenant_model()
        organization = tenant._meta.get_field("organization").related_model
        with ignoring_tenants() if issubclass(model, (tenant, organization)) else nullcontext():
            return collect(self, objs, *args, **kwargs)

    return wrapped


def relates(related_objects):
    @wraps(related_objects)
    def wrapped(self, related_model, related_fields, objs):
        rows = related_objects(self, related_model, related_fields, objs)
        seen = (has_references(each, each.related_model, self.using) for each in related_fields)
        return rows if all(seen) else rows.none()

    return wrapped


def relates_generically(bulk_related_objects):
    @wraps(bulk_related_objects)
    def wrapped(self, objs, using):
        rows = bulk_related_objects(self, objs, using)
        return rows if has_references(self, self.model, using) else rows.none()

    return wrapped


def install() -> None:
    """Let Django's deletions, those of the admin too, keep to the current schema."""
    Collector.collect = collects(Collector.collect)
    Collector.related_objects = relates(Collector.related_objects)
    GenericRelation.bulk_related_objects = relates_generically(GenericRelation.bulk_related_objects)
