"""Who may see the uploads of shared models.

A model says so by a method `shows_files_to(user, tenant)`, which is called for a row that has the
file. `user` may be anonymous, `tenant` is the one of the host.
"""

from collections.abc import Iterator
from functools import cache

from django.apps import apps
from django.db.models import Field, FileField, Model
from django_tenants.utils import get_public_schema_name

from tenancy.isolation.storage import SharedStorage


def rows_of(name: str) -> Iterator[Model]:
    """Yield the shared rows that have the file."""
    for field in shared_file_fields():
        yield from field.model._base_manager.filter(**{field.name: name})


@cache
def shared_file_fields() -> list[FileField]:
    return [
        field
        for model in apps.get_models()
        for field in model._meta.local_fields
        if isinstance(getattr(field, "storage", None), SharedStorage)
    ]


def may_see(user, tenant, row: Model) -> bool:
    """Return whether a person may see the files of a shared row at a tenant's host.

    A model without `shows_files_to` shows them to those who may see all the people, tenants and
    organizations to which the row refers, and at the main website to those who may view the row.
    """
    if rule := getattr(row, "shows_files_to", None):
        if rule(user, tenant):
            return True
    elif user.is_authenticated and all(may_see(user, tenant, owner) for owner in owners_of(row)):
        return True
    opts = row._meta
    is_public = tenant.schema_name == get_public_schema_name()
    return is_public and user.has_perm(f"{opts.app_label}.view_{opts.model_name}")


def owners_of(row: Model) -> Iterator[Model]:
    for field in owner_fields(type(row)):
        if owner := getattr(row, field.name):
            yield owner


@cache
def owner_fields(model: type[Model]) -> list[Field]:
    """Return the model's references to people, tenants, organizations and domains."""
    return [
        field
        for field in model._meta.concrete_fields
        if hasattr(field.related_model, "shows_files_to")
    ]
