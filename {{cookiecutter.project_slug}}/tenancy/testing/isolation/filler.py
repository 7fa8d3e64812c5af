"""Fills tables with rows that carry canaries."""

import contextlib
import datetime
import decimal
import uuid
from collections.abc import Callable, Iterator

from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, models, transaction
from django_tenants.utils import app_labels, get_public_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions

from tenancy.concrete import Domain, Organization, Tenant, User
from tenancy.exceptions import IsolationError, one_line
from tenancy.isolation.router import is_in_tenants
from tenancy.models import ApiKey, Archive, DataJob, DomainClaim, Invitation, TenantEvent
from tenancy.testing.isolation.sides import Side

MOMENT = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
LINE = ("13 52", "14 53")
RING = (*LINE, "13 53", "13 52")
SHAPES = {
    "POINT": ("POINT({})", LINE[:1]),
    "LINESTRING": ("LINESTRING({})", LINE),
    "POLYGON": ("POLYGON(({}))", RING),
    "MULTIPOINT": ("MULTIPOINT({})", LINE),
    "MULTILINESTRING": ("MULTILINESTRING(({}))", LINE),
    "MULTIPOLYGON": ("MULTIPOLYGON((({})))", RING),
    "GEOMETRYCOLLECTION": ("GEOMETRYCOLLECTION(POINT({}))", LINE[:1]),
    "GEOMETRY": ("POINT({})", LINE[:1]),
}
PIXEL = (  # a GIF image, after which a decoder stops reading
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00"
    b"\x00\x02\x02D\x01\x00;"
)

# The proof makes these rows itself, or they are the same for all.
ROOTS = {Tenant, Domain, Organization, User}
SHOWN = {ApiKey, Archive, DataJob, DomainClaim, Invitation, TenantEvent}
NOT_FILLED = {Tenant, Domain, User, UserTenantPermissions, ContentType}


def concrete_models() -> list[type[models.Model]]:
    """Return the models with a table that migrations make."""
    return [
        model
        for model in apps.get_models()
        if model._meta.managed and not model._meta.proxy and not model._meta.swapped
    ]


def is_shared(model) -> bool:
    return model._meta.app_label in app_labels(settings.SHARED_APPS)


def is_filled(model) -> bool:
    """Return whether rows are made of the model. Of the engine's, few are shown to people."""
    own = model.__module__.startswith("tenancy.") and model not in SHOWN
    return not own and model not in NOT_FILLED


def relations(model) -> Iterator[models.ForeignKey]:
    for field in model._meta.concrete_fields:
        if field.is_relation and field.many_to_one | field.one_to_one:
            yield field


def belongs_to_somebody(model, seen=()) -> bool:
    """Return whether each row of a shared model is one tenant's or person's, by a foreign key."""
    if model in ROOTS or model is TenantEvent:
        return True
    targets = {field.related_model for field in relations(model)} - {model, *seen}
    return any(belongs_to_somebody(target, (model, *seen)) for target in targets)


class Filler:
    """Makes rows by Django's fields, and by `factories` where these don't suffice.

    A factory is called with a canary, inside the tenant, and returns an object, saved or not.
    """

    def __init__(self, sides: dict[str, Side], factories: dict[type, Callable]):
        self.sides, self.factories = sides, factories
        self.shared = sides["shared"]
        self.making = []
        self.problems: dict[str, str] = {}

    def fill_tenant(self, side: Side, count: int) -> None:
        """Make `count` rows of each of the tenant's models, and of each that refers to it."""
        with side.tenant:
            self.upload(side)
            for model in concrete_models():
                if is_in_tenants(model) or belongs_to_somebody(model):
                    self.fill(model, side, count)

    def fill_shared(self, count: int) -> None:
        """Make rows of the models that all tenants share."""
        with schema_context(get_public_schema_name()):
            for model in concrete_models():
                if is_shared(model) and (model is Organization or not belongs_to_somebody(model)):
                    self.fill(model, self.shared, count)
            self.upload(self.shared)

    def fill(self, model, side: Side, count: int) -> None:
        if not is_filled(model):
            return
        try:
            for number in range(count):
                self.row(model, side, number)
        except Exception as error:  # of any kind, from a model's or a factory's own code
            if not side.rows.get(model):  # some tables take one row only
                self.problems[model._meta.label] = one_line(error)

    def row(self, model, side: Side, number: int = 0):
        """Return the side's row of the model, which is made if it isn't there yet."""
        rows = side.rows.setdefault(model, [])
        if len(rows) > number:
            return rows[number]
        if model in self.making:
            return rows[0] if rows else None
        self.making.append(model)
        try:
            made = self.make(model, side, number)
        finally:
            self.making.remove(model)
        rows.append(made)
        if not isinstance(made.pk, int | tuple):
            side.literals[str(made.pk)] = f"the key of a {model._meta.label}"
        return made

    def make(self, model, side: Side, number: int):
        canary = side.canary(model._meta.label)
        with transaction.atomic():
            if factory := self.factories.get(model):
                made = factory(canary)
            else:
                made = self.by_fields(model, side, number, canary)
            if made._state.adding:
                made.save()
            for field in model._meta.many_to_many:
                if field.remote_field.through._meta.auto_created:
                    target = self.target(field.related_model, side, number)
                    if target is not None:
                        getattr(made, field.name).add(target)
        for field in model._meta.concrete_fields:
            if isinstance(field, models.FileField) and getattr(made, field.name):
                file = getattr(made, field.name)
                side.files.append(file.name)
                side.uploads.append((file.storage, file.name))
        return made

    def by_fields(self, model, side: Side, number: int, canary: str):
        """Return an object that is not saved. Raises FactoryNeeded."""
        made = model()
        for field in model._meta.concrete_fields:
            if is_set_by_itself(field):
                continue
            if field.is_relation:
                target = self.target(field.related_model, side, number)
                if target is not None:
                    setattr(made, field.name, target)
            else:
                try:
                    value = value_for(field, canary, side)
                except FactoryNeeded:
                    if field.null or field.blank or field.has_default():
                        continue
                    raise
                if value is not None:
                    setattr(made, field.attname, value)
        if model is TenantEvent:
            made.slug, made.schema_name = side.tenant.slug, side.tenant.schema_name
        self.validate(made)
        return made

    def validate(self, made) -> None:
        """Replace values that validators refuse. Raises FactoryNeeded."""
        for name, errors in invalid_values(made).items():
            field = made._meta.get_field(name)
            for value in simpler_values(field):
                setattr(made, field.attname, value)
                with contextlib.suppress(TypeError, ValueError):  # a number for a date
                    if name not in invalid_values(made):
                        break
            else:
                raise FactoryNeeded(f"{name}: {' '.join(errors)}")

    def target(self, model, side: Side, number: int):
        """Return the row to refer to."""
        model = model._meta.concrete_model
        people = side.people or [User.objects.order_by("pk").first()]
        if model is Tenant:
            return side.tenant
        if model is Domain:
            return side.tenant and side.tenant.get_primary_domain()
        if model is Organization:
            return side.tenant and side.tenant.organization
        if model is User:
            return people[number % len(people)]
        if model is UserTenantPermissions:
            return UserTenantPermissions.objects.order_by("pk")[number : number + 1].first()
        if model is ContentType:
            return ContentType.objects.get_for_model(self.some_model(side))
        if is_in_tenants(model) or belongs_to_somebody(model):
            return self.row(model, side, number) if is_filled(model) else None
        with schema_context(get_public_schema_name()):
            return self.row(model, self.shared, 0)

    def some_model(self, side: Side):
        """Return a model for generic foreign keys, whose rows have the key of every first row."""
        known = [model for model in concrete_models() if is_in_tenants(model) and is_filled(model)]
        return next((model for model in known if side.rows.get(model)), User)

    def upload(self, side: Side) -> None:
        """Save a file, so that views of files have one even if no model has a field for it."""
        canary = side.canary("an uploaded file")
        content = ContentFile(side.canary("an uploaded file's content").encode())
        side.files.append(default_storage.save(f"{canary}.txt", content))
        side.uploads.append((default_storage, side.files[-1]))


class FactoryNeeded(IsolationError):
    """Django's fields don't say how a row is made."""


def is_set_by_itself(field) -> bool:
    return (
        isinstance(field, models.AutoField)
        or getattr(field, "generated", False)
        or getattr(field, "auto_now", False)
        or getattr(field, "auto_now_add", False)
        or (field.primary_key and field.has_default())
        or (field.is_relation and field.remote_field.parent_link)
    )


def skipped(made) -> Iterator:
    return (each for each in made._meta.fields if each.column is None or is_set_by_itself(each))


def invalid_values(made) -> dict[str, list[str]]:
    try:
        with transaction.atomic():
            made.clean_fields(exclude={field.name for field in skipped(made)})
    except ValidationError as error:
        return error.message_dict
    return {}


def simpler_values(field) -> Iterator:
    """Yield values without a canary, which a field with validators may accept."""
    if field.has_default():
        yield field.get_default()
    if field.null:
        yield None
    if field.blank:
        yield ""
    yield from (getattr(each, "limit_value", 1) for each in field.validators)
    yield from (1, 0)


def value_for(field: models.Field, canary: str, side: Side):
    """Return a value with the canary, as far as the field takes one; None for its default.

    Raises FactoryNeeded.
    """
    if field.choices and not field.has_default():
        return next(value for value, label in field.flatchoices if value not in ("", None))
    if isinstance(field, models.CharField | models.TextField) and not field.choices:
        return text_for(field, canary)
    if isinstance(field, models.FileField):
        return file_for(field, canary, side.canary(f"a file of {field.model._meta.label}"))
    if getattr(field, "geom_type", None) in SHAPES:
        shape, points = SHAPES[field.geom_type]
        height = " 7" * (field.dim - 2)
        return f"SRID={field.srid};{shape.format(','.join(f'{p}{height}' for p in points))}"
    if field.choices or (field.has_default() and field.default is not None):
        return None
    kind = field.get_internal_type()
    if isinstance(field, models.IntegerField):
        _, highest = connection.ops.integer_field_range(kind)
        fits = highest is None or highest >= side.number()
        return side.number() if fits else 1
    if kind in VALUES:
        return VALUES[kind](canary)
    if base := getattr(field, "base_field", None):
        value = value_for(base, canary, side)
        return [value] if hasattr(field, "size") else None
    raise FactoryNeeded(f"{field.name}: {type(field).__name__} is not known")


def text_for(field, canary: str) -> str:
    if isinstance(field, models.EmailField):
        text = f"{canary}@example.com"
    elif isinstance(field, models.URLField):
        text = f"https://{canary}.example.com/"
    else:
        text = canary
    return text[: field.max_length] if field.max_length else text


def file_for(field: models.FileField, name: str, content: str) -> ContentFile:
    if isinstance(field, models.ImageField):
        return ContentFile(PIXEL + content.encode(), f"{name}.gif")
    return ContentFile(content.encode(), f"{name}.txt")


VALUES = {
    "BinaryField": lambda canary: canary.encode(),
    "BooleanField": lambda canary: False,
    "DateField": lambda canary: MOMENT.date(),
    "DateTimeField": lambda canary: MOMENT,
    "DecimalField": lambda canary: decimal.Decimal(1),
    "DurationField": lambda canary: datetime.timedelta(hours=1),
    "FloatField": lambda canary: 1.5,
    "GenericIPAddressField": lambda canary: f"192.0.2.{int(canary[-3:]) % 256}",
    "HStoreField": lambda canary: {"canary": canary},
    "JSONField": lambda canary: {"canary": canary},
    "TimeField": lambda canary: MOMENT.time(),
    "UUIDField": lambda canary: uuid.uuid4(),
}


def owners_rows(side: Side, model) -> list:
    """Return the side's rows of the model or its proxies."""
    model = model._meta.concrete_model
    if model is Tenant:
        return [side.tenant] if side.tenant else []
    if model is Organization and side.tenant:
        return [side.tenant.organization]
    if model is Domain:
        return [side.tenant.get_primary_domain()] if side.tenant else []
    if model is User:
        return side.people
    return side.rows.get(model, [])
