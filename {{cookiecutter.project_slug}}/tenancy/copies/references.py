"""Translate the ids of shared rows, such as people and content types, in a tenant's tables.

In another installation the same person has another id. So a backup says which row each id means:
a person by e-mail, any other row by its natural key.
"""

from collections import defaultdict
from itertools import chain, count

from django.apps import apps
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import Field, Model
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context

from tenancy.concrete import Tenant, User
from tenancy.copies.consistent import quote_table
from tenancy.exceptions import CopyError
from tenancy.isolation.credentials import left_behind
from tenancy.isolation.router import is_in_tenants, table_of, tenant_app_labels

# Also the constraints that only RunSQL knows. A partition's are those of the partitioned table.
FOREIGN_KEYS = """
    SELECT own.relname, mine.attname, other.relname, theirs.attname
    FROM pg_constraint
    JOIN pg_class own ON own.oid = conrelid
    JOIN pg_class other ON other.oid = confrelid AND other.relnamespace <> own.relnamespace
    JOIN pg_attribute mine ON mine.attrelid = conrelid AND mine.attnum = conkey[1]
    JOIN pg_attribute theirs ON theirs.attrelid = confrelid AND theirs.attnum = confkey[1]
    WHERE contype = 'f' AND conparentid = 0 AND own.relnamespace = to_regnamespace(%s)
"""


def references(schema_name: str) -> dict[Field | None, set[tuple[str, str]]]:
    """Return the columns (table and column) that hold values of a shared model's field, by field.

    Models and constraints tell. None has the columns that refer to a table of no model. Credentials
    are left out: a person who only had one isn't in the copy.
    """
    found, fields, left = defaultdict(set), {}, left_behind()
    for model in apps.get_models(include_auto_created=True):
        table = table_of(model)
        for field in model._meta.local_concrete_fields:
            fields[table, field.column] = field
            other = field.related_model if model._meta.managed and is_in_tenants(model) else None
            if other and not is_in_tenants(other) and table not in left.tables:
                found[field.target_field].add((table, field.column))
    with connection.cursor() as cursor:
        cursor.execute(FOREIGN_KEYS, [quote_schema_name(schema_name)])
        for table, column, other, name in cursor:
            if table in left.tables:
                continue
            found[fields.get((other, name))].add((table, column))
    return found


def export_keys(tenant: Tenant) -> list[dict]:
    """Return for each shared field the columns that hold it, and the key that each value means.

    Raises CopyError for a row that can't be named in another installation.
    """
    refuse_generic(tenant.schema_name)
    exported = []
    for field, columns in sorted(references(tenant.schema_name).items(), key=str):
        if field is None:
            raise CopyError(f"{'.'.join(min(columns))} refers to a table of no model.")
        values = set().union(*(values_of(tenant.schema_name, *column) for column in columns))
        rows = field.model._base_manager.filter(**{f"{field.attname}__in": values})
        exported.append(
            {
                "model": field.model._meta.label,
                "field": field.attname,
                "columns": sorted(columns),
                "keys": [[str(getattr(row, field.attname)), key_of(row, tenant)] for row in rows],
            }
        )
    return exported


def values_of(schema_name: str, table: str, column: str) -> set[str]:
    table, column = quote_table(schema_name, table), quote_schema_name(column)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT {column}::text FROM {table} WHERE {column} IS NOT NULL")  # noqa: S608
        return {value for (value,) in cursor}


def key_of(row: Model, tenant: Tenant) -> list:
    if isinstance(row, User):
        return [row.email, row.username, row.is_active_anywhere]
    if row == tenant:
        return []
    if not hasattr(row, "natural_key"):
        what = row._meta.label
        raise CopyError(f"“{tenant.slug}” refers to {row!r}: {what} needs a natural_key().")
    return list(row.natural_key())


def refuse_generic(schema_name: str) -> None:
    """Raise CopyError for a generic relation to a shared row: nothing translates its id."""
    for model in filter(is_in_tenants, apps.get_models()):
        for field in model._meta.private_fields:
            if isinstance(field, GenericForeignKey) and model._meta.managed:
                kind = model._meta.get_field(field.ct_field)  # perhaps inherited with its table
                used = values_of(schema_name, table_of(kind.model), kind.column)
                kinds = ContentType.objects.filter(pk__in=used)
                if shared := kinds.exclude(app_label__in=tenant_app_labels()).first():
                    name = f"{model._meta.label}.{field.name}"
                    raise CopyError(f"{name} refers to a shared {shared}.")


def translate(tenant: Tenant, exported: list[dict], *, has_ids_of_people: bool = False) -> None:
    """Make the restored rows refer to the rows of this installation; people are created if missing.

    With `has_ids_of_people` an id means the same person here, whose e-mail may have changed since.
    The constraints must not exist yet: two ids may change places. Raises CopyError if another row
    is missing here.
    """
    left = left_behind()
    for entry in exported:
        columns = [
            (table, column) for table, column in entry["columns"] if table not in left.tables
        ]
        if entry["columns"] and not columns:  # a backup by an earlier version
            continue
        field = apps.get_model(entry["model"])._meta.get_field(entry["field"])
        if has_ids_of_people and field.model is User:
            continue
        values = {
            old: getattr(find(field.model, key, tenant), field.attname)
            for old, key in entry["keys"]
        }
        for table, column in columns:
            refuse_dangling(tenant.schema_name, table, column, field, values)
            update(tenant.schema_name, table, column, field, values)


def repoint_self_references(source: Tenant, copy: Tenant) -> None:
    """Make the copy's rows refer to the copy where the source's rows refer to the source."""
    for field, columns in references(source.schema_name).items():
        if field and field.model is Tenant:
            values = {str(getattr(source, field.attname)): getattr(copy, field.attname)}
            for table, column in columns:
                update(copy.schema_name, table, column, field, values)


def find(model: type[Model], key: list, tenant: Tenant) -> Model:
    """Return the row that `key_of` named. Raises CopyError if it is missing."""
    if model is User:
        return find_person(key[0]) or create_person(*key)
    if model is Tenant:
        return tenant
    if model is ContentType:  # a model that was removed may have none here
        return ContentType.objects.get_or_create(app_label=key[0], model=key[1])[0]
    try:
        return model._default_manager.get_by_natural_key(*key)
    except model.DoesNotExist:
        raise CopyError(f"There is no {model._meta.label} {key} here.") from None


def find_person(email: str) -> User | None:
    return User.objects.filter(email=email).first()


def create_person(email: str, username: str, is_active: bool, **fields) -> User:
    """Create a person, who sets a password by “Forgot your password?”."""
    with schema_context(get_public_schema_name()):
        names = chain([username], (f"{username[:50]}-{number}" for number in count(2)))
        name = next(name for name in names if not User.objects.filter(username=name).exists())
        return User.objects.create_user(email, username=name, is_active=is_active, **fields)


def refuse_dangling(schema_name, table, column, field: Field, values: dict) -> None:
    """Raise CopyError for an id that meant no row in the backup, but would mean one here."""
    dangling = values_of(schema_name, table, column) - values.keys()
    rows = field.model._base_manager.filter(**{f"{field.attname}__in": dangling})
    if found := rows.first():
        raise CopyError(
            f"{table}.{column} has {getattr(found, field.attname)}, which was no"
            f" {field.model._meta.label} where the backup was made and here is {found}."
        )


def update(schema_name: str, table: str, column: str, field: Field, values: dict) -> None:
    """Replace the column's values: `values` has the new ones by the text of the old."""
    changed = {old: str(new) for old, new in values.items() if old != str(new)}
    if not changed:
        return
    table, column = quote_table(schema_name, table), quote_schema_name(column)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET {column} = pair.new::{field.rel_db_type(connection)}"  # noqa: S608
            f" FROM unnest(%s::text[], %s::text[]) pair(old, new) WHERE {column}::text = pair.old",
            [[*changed.keys()], [*changed.values()]],
        )
