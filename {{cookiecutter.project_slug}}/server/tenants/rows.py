"""Rows written in one statement, which is put together here: Django takes longer for each than
PostgreSQL for all. Where somebody listens to Django's signals for one of them, Django saves them.
"""

# ruff: noqa: S608 (what stands in the SQL are names of tables, of columns and of its own parts)

from functools import cache

from django.db import DatabaseError, connection, router
from django.db.models import Field, Model
from django.db.models.expressions import RawSQL
from django.db.models.signals import post_save, pre_save


def save(*rows: Model, fields: tuple[str, ...] = ()) -> None:
    """Save objects: new ones, which may refer to those before them, or have a RawSQL for a value;
    and `fields` of others.

    Raises IntegrityError, and DatabaseError where one of the others is gone.
    """
    if any(signal.has_listeners(type(row)) for signal in (pre_save, post_save) for row in rows):
        for row in rows:
            Model.save(row, update_fields=None if row._state.adding else fields)
        return
    parts, parameters, names, references = [], [], {}, []
    for row in rows:
        own = writable(type(row), () if row._state.adding else fields)
        places = []
        for field in own:
            other = row._state.fields_cache.get(field.name)
            if id(other) in names:
                references.append((row, field.name, other))
                places.append(f"(SELECT id FROM {names[id(other)]})")
            else:
                value = field.pre_save(row, add=row._state.adding)
                if isinstance(value, RawSQL):
                    places.append(value.sql)
                    parameters += value.params
                else:
                    places.append("%s")
                    parameters.append(field.get_db_prep_save(value, connection))
        names[id(row)] = f"row_{len(names)}"
        parts.append(f"{names[id(row)]} AS ({statement(row, own, places)} RETURNING id)")
    ids = ", ".join(f"(SELECT id FROM {name})" for name in names.values())
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {', '.join(parts)} SELECT {ids}", parameters)
        keys = cursor.fetchone()
    if None in keys:
        raise DatabaseError("A row that was to be changed is gone.")
    for row, row.pk in zip(rows, keys, strict=True):
        row._state.adding, row._state.db = False, router.db_for_write(type(row), instance=row)
    for row, name, other in references:
        setattr(row, name, other)  # which has its key by now


@cache
def writable(model: type[Model], names: tuple[str, ...]) -> list[Field]:
    """The fields with these names, all where there are none, but not the key."""
    own = [field for field in model._meta.concrete_fields if not field.primary_key]
    return [field for field in own if field.name in names] if names else own


def statement(row: Model, fields: list[Field], places: list[str]) -> str:
    quote = connection.ops.quote_name
    table, columns = quote(row._meta.db_table), [quote(field.column) for field in fields]
    if row._state.adding:
        return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(places)})"
    changes = ", ".join(map(" = ".join, zip(columns, places, strict=True)))
    return f"UPDATE {table} SET {changes} WHERE id = {int(row.pk)}"
