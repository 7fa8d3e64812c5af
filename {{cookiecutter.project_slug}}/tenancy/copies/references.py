"""Columns of a tenant's tables that hold ids of shared rows: of people, of content types.

In another installation the same person has another id, and so a backup says whom an id means: a
person by e-mail, anything else by its natural key.
"""

import secrets
from collections.abc import Iterator
from functools import cache
from itertools import chain, count

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist
from django.db import connection
from django.db.models import Model
from django_tenants.utils import (
    app_labels,
    get_public_schema_name,
    quote_schema_name,
    schema_context,
)

from tenancy.concrete import Tenant
from tenancy.exceptions import CopyError

# Those that RunSQL has made, too. A partition's are those of the whole.
FOREIGN_KEYS = """
    SELECT own.relname, mine.attname, other.relname, theirs.attname
    FROM pg_constraint
    JOIN pg_class own ON own.oid = conrelid
    JOIN pg_class other ON other.oid = confrelid AND other.relnamespace <> own.relnamespace
    JOIN pg_attribute mine ON mine.attrelid = conrelid AND mine.attnum = conkey[1]
    JOIN pg_attribute theirs ON theirs.attrelid = confrelid AND theirs.attnum = confkey[1]
    WHERE contype = 'f' AND conparentid = 0 AND own.relnamespace = to_regnamespace(%s)
"""
TYPE = """
    SELECT format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attname = %s
"""


def references(schema_name: str) -> set[tuple[str, str, type[Model] | None, str]]:
    """Table, column, and whose field it holds: what models say, and what the database does.

    Where it is no model's, there is None and the name of the table that is referred to.
    """
    found = set(of_models())
    models = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
    with connection.cursor() as cursor:
        cursor.execute(FOREIGN_KEYS, [quote_schema_name(schema_name)])
        for table, column, other, name in cursor:
            model = models.get(other)
            fields = {field.column: field.attname for field in model._meta.fields} if model else {}
            found.add((table, column, model, fields.get(name, other)))
    return found


def of_models() -> Iterator[tuple[str, str, type[Model], str]]:
    of_tenants = app_labels(settings.TENANT_APPS)
    for model in apps.get_models(include_auto_created=True):
        if model._meta.app_label not in of_tenants or not model._meta.managed:
            continue
        for field in model._meta.local_concrete_fields:
            other = field.related_model and field.related_model._meta.concrete_model
            if other and other._meta.app_label not in of_tenants:
                yield model._meta.db_table, field.column, other, field.target_field.attname


def export_keys(tenant: Tenant) -> list[dict]:
    """For each model's field: the columns that hold it, and which key each of the values means.

    Raises CopyError for a row that can't be named in another installation.
    """
    columns = {}
    for table, column, model, name in sorted(references(tenant.schema_name), key=str):
        if model is None:
            raise CopyError(f"{table}.{column} refers to {name}, which is no model's table.")
        columns.setdefault((model, name), []).append([table, column])
    refuse_generic(tenant.schema_name)
    return [
        {
            "model": model._meta.label,
            "field": name,
            "columns": columns[model, name],
            "keys": keys(tenant, model, name, columns[model, name]),
        }
        for model, name in columns
    ]


def keys(tenant: Tenant, model: type[Model], name: str, columns: list) -> list:
    values = {value for column in columns for value in values_of(tenant.schema_name, *column)}
    rows = model._base_manager.filter(**{f"{name}__in": values})
    return [[str(getattr(row, name)), key_of(row, tenant)] for row in rows]


def values_of(schema_name: str, table: str, column: str) -> set[str]:
    table, column = names(schema_name, table, column)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT {column}::text FROM {table} WHERE {column} IS NOT NULL")  # noqa: S608
        return {value for (value,) in cursor}


def names(schema_name: str, table: str, column: str) -> tuple[str, str]:
    """The table's and the column's, as they are written in SQL."""
    own, table, column = map(quote_schema_name, (schema_name, table, column))
    return f"{own}.{table}", column


def key_of(row: Model, tenant: Tenant) -> list:
    if isinstance(row, get_user_model()):
        return [getattr(row, row.get_email_field_name()), row.get_username(), row.is_active]
    if row == tenant:
        return []
    if not hasattr(row, "natural_key"):
        what = row._meta.label
        raise CopyError(f"“{tenant.slug}” refers to {row!r}: {what} needs a natural_key().")
    return list(row.natural_key())


def refuse_generic(schema_name: str) -> None:
    """A generic relation to a shared row has an id that nothing here translates."""
    of_tenants = app_labels(settings.TENANT_APPS)
    for model in apps.get_models():
        for field in model._meta.private_fields:
            if not isinstance(field, GenericForeignKey) or model._meta.app_label not in of_tenants:
                continue
            column = model._meta.get_field(field.ct_field).column
            kinds = ContentType.objects.filter(
                pk__in=values_of(schema_name, model._meta.db_table, column)
            ).exclude(app_label__in=of_tenants)
            if kinds:
                raise CopyError(f"{model._meta.label}.{field.name} refers to a shared {kinds[0]}.")


def translate(tenant: Tenant, said: list[dict]) -> None:
    """Have the tenant's rows refer to whom the backup means; people who aren't here are made.

    It comes before the constraints: two ids may change places. Raises CopyError where something
    else isn't here.
    """
    for each in said:
        name = each["field"]
        try:
            model = apps.get_model(each["model"])
            model._meta.get_field(name)
        except (LookupError, ValueError, FieldDoesNotExist):
            raise CopyError(f"There is no {each['model']} here that has a field {name}.") from None
        values = {old: str(getattr(find(model, key, tenant), name)) for old, key in each["keys"]}
        for table, column in each["columns"]:
            refuse_strangers(tenant.schema_name, table, column, model, name, values)
            update(tenant.schema_name, table, column, values)


def repoint_self_references(source: Tenant, copy: Tenant) -> None:
    """Have the copy's rows refer to itself where the source's do."""
    for table, column, model, name in references(source.schema_name):
        if model is Tenant:
            values = {str(getattr(source, name)): str(getattr(copy, name))}
            update(copy.schema_name, table, column, values)


def find(model: type[Model], key: list, tenant: Tenant) -> Model:
    if model is get_user_model():
        return find_or_make_person(*key)
    if model is Tenant:
        return tenant
    if model is ContentType:  # of a model that is gone: nobody has made it here
        return ContentType.objects.get_or_create(app_label=key[0], model=key[1])[0]
    try:
        return model._default_manager.get_by_natural_key(*key)
    except model.DoesNotExist:
        raise CopyError(f"There is no {model._meta.label} {key} here.") from None


def find_or_make_person(email: str, username: str, is_active: bool, **fields):
    """Who is made has a password that nobody knows, and gets another by mail."""
    User = get_user_model()
    with schema_context(get_public_schema_name()):
        person = User.objects.filter(**{User.get_email_field_name(): email}).first()
        if person is None:
            name = free_username(username)
            person = User.objects.create_user(email, None, username=name, **fields)
            person.password, person.is_active = no_password(), is_active
            person.save(update_fields=["password", "is_active"])
        return person


@cache
def no_password() -> str:
    """Django mails no link to who has an unusable one. Once: a hash takes its time."""
    return make_password(secrets.token_hex(32))


def free_username(username: str) -> str:
    User = get_user_model()
    names = chain([username], (f"{username[:50]}-{number}" for number in count(2)))
    taken = User.objects.filter(**{f"{User.USERNAME_FIELD}__startswith": username[:50]})
    taken = {person.get_username() for person in taken}
    return next(name for name in names if name not in taken)


def refuse_strangers(schema_name, table, column, model, name, values: dict[str, str]) -> None:
    """An id that was nobody's, for no constraint forbids it, must not become somebody's here."""
    nobodys = values_of(schema_name, table, column) - values.keys()
    if found := model._base_manager.filter(**{f"{name}__in": nobodys}).first():
        raise CopyError(
            f"{table}.{column} has {getattr(found, name)}, which was no {model._meta.label} where"
            f" the backup was made and here is {found}."
        )


def update(schema_name: str, table: str, column: str, values: dict[str, str]) -> None:
    changed = {old: new for old, new in values.items() if old != new}
    if not changed:
        return
    table, name = names(schema_name, table, column)
    with connection.cursor() as cursor:
        cursor.execute(TYPE, [table, column])
        ((kind,),) = cursor.fetchall()
        cursor.execute(
            f"UPDATE {table} SET {name} = pair.new::{kind}"  # noqa: S608
            f" FROM unnest(%s::text[], %s::text[]) pair(old, new) WHERE {name}::text = pair.old",
            [[*changed.keys()], [*changed.values()]],
        )
