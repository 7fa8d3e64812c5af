"""Copy the values of the fields that a project added to the engine's models."""

import hashlib
from collections.abc import Iterable

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.core.files.storage import Storage
from django.db.models import Field, FileField, Model

from tenancy.concrete import CHOICES, PROFILE, Tenant, User, added_fields
from tenancy.copies.references import key_of
from tenancy.exceptions import CopyError, one_line


def copied_fields(model: type[Model]) -> list[Field]:
    own = {User: PROFILE, Tenant: CHOICES}.get(model, ())
    return [*added_fields(model), *map(model._meta.get_field, own)]


def cloned_values(source: Tenant) -> dict:
    """Return the values that a clone takes over. A unique value stays with the source."""
    return {
        field.attname: getattr(source, field.attname)
        for field in copied_fields(Tenant)
        if not field.unique
    }


def export_fields(row: Model, tenant: Tenant) -> dict:
    """Return the row's values in JSON, by the fields' names. A foreign key becomes a natural key.

    Raises CopyError for a row that can't be named in another installation.
    """
    values = {}
    for field in copied_fields(type(row)):
        value = getattr(row, field.name)
        if value is not None:
            value = key_of(value, tenant) if field.is_relation else field.value_to_string(row)
        values[field.name] = value
    return values


def export_digests(rows: Iterable[Model]) -> dict[str, str]:
    """Return the digests of the rows' files, by name."""
    files = (
        getattr(row, field.name)
        for row in rows
        for field in copied_fields(type(row))
        if isinstance(field, FileField)
    )
    return {file.name: digest(file.storage, file.name) for file in files if file}


def digest(storage: Storage, name: str) -> str | None:
    """Return the SHA-256 of a file, or None if it isn't there."""
    found = hashlib.sha256()
    try:
        with storage.open(name) as file:
            for chunk in file.chunks():
                found.update(chunk)
    except OSError:
        return None
    return found.hexdigest()


def import_fields(
    model: type[Model], values: dict, digests: dict[str, str], notes: list[str]
) -> dict:
    """Return the values for a new row, from what `export_fields` returned.

    A file is kept if the one of its name here is the same, by what `export_digests` returned. In
    another installation it may be somebody else's. `notes` gets a sentence for each value that is
    left out, because the field or the file doesn't exist here, or another row has the value. Raises
    CopyError for a value that the field refuses.
    """
    known = {field.name: field for field in copied_fields(model)}
    found = {}
    for name, value in values.items():
        what = f"{model._meta.object_name}.{name}"
        if name not in known:
            notes.append(f"{what!a} doesn't exist here: its value is left out.")
            continue
        if value and isinstance(known[name], FileField):
            here = digest(known[name].storage, value)
            if here is None or here != digests.get(value):
                notes.append(f"The file of {what} isn't here: it is left out.")
                continue
        value = import_value(known[name], value)
        is_unique = known[name].unique and value is not None
        if is_unique and model._base_manager.filter(**{name: value}).exists():
            notes.append(f"Another row has the value of {what}: it is left out.")
            continue
        found[name] = value
    return found


def import_value(field: Field, value):
    if value is None:
        return None
    try:
        if field.is_relation:
            # The user manager takes the e-mail alone, which is first in a person's key.
            key = value[:1] if field.related_model is User else value
            return field.related_model._default_manager.get_by_natural_key(*key)
        return field.clean(field.to_python(value), None)
    except (ValidationError, TypeError, ValueError, ObjectDoesNotExist) as error:
        name = f"{field.model._meta.object_name}.{field.name}"
        raise CopyError(
            f"The backup's value of {name} can't be used here: {one_line(error)}"
        ) from None
