"""Where uploads are: each tenant's in its own folder, those of shared models in the public one."""

import os
from functools import wraps

from django.conf import settings
from django.core.files.storage import FileSystemStorage, Storage, default_storage
from django.db import connection
from django.db.models import FileField, Model
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy.database.read_only import refuse
from tenancy.exceptions import NoTenant
from tenancy.isolation.router import is_in_tenants

PREFIX = "_shared/"  # begins the addresses of shared models' files, at every host


class TenantFiles:
    """A storage that keeps each tenant's files apart, and the public schema's.

    Inside `read_only()` it changes none. Raises ReadOnly.
    """

    def save(self, name, *args, **kwargs):
        refuse("save a file")
        return super().save(name, *args, **kwargs)

    def delete(self, name):
        refuse("delete a file")
        super().delete(name)

    def open(self, name, mode="rb"):
        if {*mode} & {*"wax+"}:
            refuse("write a file")
        return super().open(name, mode)

    @property
    def schema_name(self) -> str:
        if connection.schema_name is None:
            raise NoTenant("A file belongs to a tenant, and none is current.")
        return connection.schema_name


class TenantStorage(TenantFiles, FileSystemStorage):
    """Keeps files in `<location>/<schema of the current tenant>/`; MEDIA_ROOT is the default.

    django-tenants' own storage ignores the tenant if a location is given, and writes the schema
    into URLs.
    """

    @property
    def base_location(self):
        folder = self._value_or_setting(self._location, settings.MEDIA_ROOT)
        return os.path.join(folder, self.schema_name)  # noqa: PTH118

    @property
    def location(self):
        return os.path.abspath(self.base_location)  # noqa: PTH100


class SharedStorage:
    """A storage as it is in the public schema. The default storage is the default."""

    def __init__(self, storage: Storage = default_storage):
        self.storage = storage

    def __getattr__(self, name):
        if name == "storage" or name.startswith("__"):
            raise AttributeError(name)
        with schema_context(get_public_schema_name()):
            attribute = getattr(self.storage, name)
        return in_public(attribute) if callable(attribute) else attribute

    def url(self, name: str) -> str:
        """Return an address that is good at every host, unless the storage has its own."""
        prefix = PREFIX if self.storage is default_storage and self.has_view() else ""
        return in_public(self.storage.url)(f"{prefix}{name}")

    def has_view(self) -> bool:
        """Return whether its addresses are those of the view `media`."""
        try:
            return isinstance(self.storage, TenantFiles) or bool(self.path(""))
        except NotImplementedError:
            return False


def in_public(function):
    @wraps(function)
    def call(*args, **kwargs):
        with schema_context(get_public_schema_name()):
            return function(*args, **kwargs)

    return call


def share_files(sender: type[Model], **kwargs) -> None:
    """Let the file fields of a shared model keep their files in the public schema's folder.

    A receiver of `class_prepared`. Migrations see the storage that the field was declared with.
    """
    for field in sender._meta.local_fields:
        if isinstance(field, FileField) and not is_in_tenants(sender):
            storage = field.storage
            if storage is default_storage or isinstance(storage, TenantFiles):
                vars(field).setdefault("_storage_callable", storage)
                field.storage = SharedStorage(storage)
