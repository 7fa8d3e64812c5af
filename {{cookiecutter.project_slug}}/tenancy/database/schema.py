"""Omits foreign key constraints from a tenant's table to a shared one.

PostgreSQL keeps two triggers for each foreign key on the table that it refers to. With thousands of
tenants, those on the users table would make each new connection read thousands of rows before its
first query, the deletion of a user run thousands of queries, and new tenants wait for sign-ins.
"""

from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Field
from django_tenants.postgresql_backend.base import original_backend
from django_tenants.utils import app_labels, get_public_schema_name


class SchemaEditor(original_backend.DatabaseWrapper.SchemaEditorClass):
    """Treats a field that refers to a shared table as one with `db_constraint=False`.

    An error has a note with the statement that failed.
    """

    def create_model(self, model):
        with self.without_constraint(*model._meta.local_fields):
            super().create_model(model)

    def add_field(self, model, field):
        with self.without_constraint(field):
            super().add_field(model, field)

    def alter_field(self, model, old_field, new_field, strict=False):
        with self.without_constraint(old_field, new_field):
            super().alter_field(model, old_field, new_field, strict)

    def execute(self, sql, params=()):
        try:
            super().execute(sql, params)
        except DatabaseError as error:
            error.add_note(" ".join(str(sql).split()))
            raise

    @contextmanager
    def without_constraint(self, *fields: Field):
        leaving = [field for field in fields if self.has_constraint_to_shared(field)]
        for field in leaving:
            field.db_constraint = False
        try:
            yield
        finally:
            for field in leaving:
                field.db_constraint = True

    def has_constraint_to_shared(self, field: Field) -> bool:
        if self.connection.schema_name == get_public_schema_name():
            return False
        # A ForeignObject is a relation without a constraint, and so without the attribute.
        if not (field.many_to_one or field.one_to_one) or not getattr(
            field, "db_constraint", False
        ):
            return False
        app_label = field.remote_field.model._meta.concrete_model._meta.app_label
        return app_label not in app_labels(settings.TENANT_APPS)
