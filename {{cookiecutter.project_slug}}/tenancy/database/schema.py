"""No foreign key from a tenant's table to a shared one.

PostgreSQL keeps two triggers on the table that is referred to for each foreign key. With thousands
of tenants those on the users table make every new connection read thousands of rows before its
first query, a user's deletion run thousands of queries, and a new tenant wait for who signs in.
"""

from contextlib import contextmanager

from django.conf import settings
from django.db.models import Field
from django_tenants.postgresql_backend.base import original_backend
from django_tenants.utils import app_labels, get_public_schema_name


class SchemaEditor(original_backend.DatabaseWrapper.SchemaEditorClass):
    """The original backend's, to which a field that leaves the tenant has `db_constraint=False`."""

    def create_model(self, model):
        with self.without_constraint(*model._meta.local_fields):
            super().create_model(model)

    def add_field(self, model, field):
        with self.without_constraint(field):
            super().add_field(model, field)

    def alter_field(self, model, old_field, new_field, strict=False):
        with self.without_constraint(old_field, new_field):
            super().alter_field(model, old_field, new_field, strict)

    @contextmanager
    def without_constraint(self, *fields: Field):
        leaving = [field for field in fields if self.leaves_tenant(field)]
        for field in leaving:
            field.db_constraint = False
        try:
            yield
        finally:
            for field in leaving:
                field.db_constraint = True

    def leaves_tenant(self, field: Field) -> bool:
        if self.connection.schema_name == get_public_schema_name():
            return False
        if not (field.many_to_one or field.one_to_one) or not field.db_constraint:
            return False
        referred_to = field.remote_field.model._meta.concrete_model._meta.app_label
        return referred_to not in app_labels(settings.TENANT_APPS)
