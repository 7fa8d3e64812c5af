"""What an export of a tenant goes without: all that may let somebody in.

These are the tables of credentials, and columns and models that are named, or have fields, like
those below. The settings TENANCY_EXPORT_EXCLUDE and TENANCY_EXPORT_INCLUDE name further ones, and
exceptions: `["invoices.Draft", "invoices.Invoice.iban"]`.
"""

import re
from collections.abc import Iterator

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import FieldDoesNotExist
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Field
from tenant_users.permissions.models import UserTenantPermissions

from tenancy.isolation.credentials import left_behind
from tenancy.isolation.router import is_in_tenants, table_of

EXCLUDE, INCLUDE = "TENANCY_EXPORT_EXCLUDE", "TENANCY_EXPORT_INCLUDE"

# A column with such a name, unless it refers to another row.
SECRET_NAME = re.compile(
    r"apikey|credential|passphrase|passw|secret|session|token"
    r"|(^|_)(digest|hash|hashed|keys?|nonce|otp|pin|pwd|salt)($|_)",
    re.IGNORECASE,
)
# A field whose class, or one that it extends, has such a name. A model with such a name.
SECRET_FIELD = re.compile("ApiKey|Credential|Encrypted|Hash|Password|Secret|Token")
SECRET_MODEL = re.compile("(ApiKey|Credential|Password|Secret|Token)s?$")
# Models that say nothing to people.
TECHNICAL = (
    MigrationRecorder.Migration,
    Permission,
    Group.permissions.through,
    UserTenantPermissions.user_permissions.through,
)

Key = tuple[str, str | None]  # a table and one of its columns; None is the whole table


class Omissions:
    """Raises LookupError, FieldDoesNotExist or ValueError for a wrong name in the settings."""

    def __init__(self):
        behind = left_behind()
        self.technical = {table_of(model) for model in TECHNICAL}
        self.omitted = {(table, None) for table in behind.tables} | behind.columns | named(EXCLUDE)
        self.included = named(INCLUDE)
        self.secret = {*secrets_of_models()}
        self.references = {*references_of_models()}

    def has(self, table: str, column: str | None = None) -> bool:
        """Return whether the column, or the whole table, is left out."""
        key = table, column
        if key in self.omitted:
            return True
        if key in self.included:
            return False
        has_secret_name = column and key not in self.references and SECRET_NAME.search(column)
        return key in self.secret or bool(has_secret_name)


def named(setting: str) -> set[Key]:
    """Return what one of the settings names, by “app.Model” or “app.Model.field”."""
    return {key_of(label) for label in getattr(settings, setting, ())}


def key_of(label: str) -> Key:
    app, model, *names = label.split(".")
    model = apps.get_model(app, model)
    if not names:
        return table_of(model), None
    field = model._meta.get_field(".".join(names))
    if field.many_to_many:
        return table_of(getattr(field.remote_field, "through", None) or field.through), None
    if not isinstance(field, Field):
        raise FieldDoesNotExist(f"{label} is a reverse relation")
    return table_of(field.model), field.column


def secrets_of_models() -> Iterator[Key]:
    for model in filter(is_in_tenants, apps.get_models()):
        if SECRET_MODEL.search(model.__name__):
            yield table_of(model), None
        for field in model._meta.local_concrete_fields:
            if any(SECRET_FIELD.search(base.__name__) for base in type(field).__mro__):
                yield table_of(model), field.column


def references_of_models() -> Iterator[Key]:
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if field.is_relation:
                yield table_of(model), field.column
