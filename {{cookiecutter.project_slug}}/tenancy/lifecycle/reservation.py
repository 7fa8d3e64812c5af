"""The first step of making a tenant: check the arguments, and take the slug and the host."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Field, Model

from tenancy import hosts
from tenancy.concrete import Domain, Organization, Tenant, added_fields
from tenancy.database import citus
from tenancy.duplicates import duplicated
from tenancy.exceptions import InvalidField, InvalidName, InvalidSlug, LifecycleError, SlugTaken
from tenancy.lifecycle.organizations import find_or_make
from tenancy.people.members import find_user
from tenancy.states import PROVISIONING


@dataclass(frozen=True)
class Recipe:
    """How to create a tenant: new, as a clone, or from a backup.

    `action` is its name in the log. `new_schema(schema_name)` is a context manager that creates the
    schema, in one transaction with its block if it can. `grant_memberships(tenant)` runs in the
    last transaction. `fields` are valid values for the tenant's row, `organization_fields` for a
    new organization's. `takes_spare` is whether a spare schema will do, if there is one, instead of
    `new_schema`. `origin` is stored with the tenant, and tells apart what killed calls left.
    """

    action: str
    new_schema: Callable[[str], AbstractContextManager]
    grant_memberships: Callable[[Tenant], None]
    fields: dict = field(default_factory=dict)
    organization_fields: dict = field(default_factory=dict)
    origin: str = ""
    takes_spare: bool = False


def reserve(
    recipe: Recipe,
    name: str,
    slug: str,
    organization: Organization | str | None,
    username: str,
    undo: ExitStack,
) -> tuple[Tenant, bool]:
    """Save the tenant and its domain in a short transaction; return the tenant and True.

    Return an unfinished tenant and False, if an earlier call with the same arguments left it.
    `undo` gets callbacks that remove a new tenant. Raises UnknownUser, SlugTaken, InvalidField
    or AmbiguousOrganization.
    """
    owner = find_user(username, active=True)
    same = {"name": name, "slug": slug, "owner": owner, "origin": recipe.origin}
    try:
        # Two callers may ask at once, so the constraints decide.
        with refusing_duplicates(SlugTaken(f"“{slug}” is taken."), durable=True):
            customer, is_new = organization, False
            if organization is None:
                customer, is_new = Organization.objects.create(name=name), True
            elif isinstance(organization, str):
                customer, is_new = find_or_make(organization, recipe.organization_fields)
            # A schema's name is never reused, so no tenant finds what an earlier one left.
            schema_name = f"{slug}_{secrets.token_hex(4)}"
            tenant = Tenant.objects.create(
                organization=customer, schema_name=schema_name, **same, **recipe.fields
            )
            domain = Domain(tenant=tenant, domain=hosts.host_of(slug))
            domain._is_only_domain = True
            domain.save(force_insert=True)
    except SlugTaken:
        if isinstance(organization, Organization):
            same["organization"] = organization
        else:
            same["organization__name"] = organization or name
        if unfinished := Tenant.all_objects.filter(**same, status=PROVISIONING).first():
            return unfinished, False
        raise
    if is_new:
        undo.callback(lambda: Organization.objects.filter(pk=customer.pk, tenants=None).delete())
    undo.callback(lambda: Tenant._base_manager.filter(pk=tenant.pk).delete())
    return tenant, True


def clean_names(
    name: str, slug: str, organization: Organization | str | None
) -> tuple[str, Organization | str | None]:
    """Return the tenant's and the organization's name as they are stored.

    A row, and None for an organization of the tenant's own, stay as they are. Raises InvalidName
    or InvalidSlug.
    """
    check_slug(slug)
    if isinstance(organization, str):
        organization = clean_name(Organization, organization)
    return clean_name(Tenant, name), organization


def check_slug(slug: str) -> None:
    try:
        hosts.validate_slug(slug)
    except ValidationError as error:
        raise InvalidSlug(error.message) from None


def clean_name(model: type[Model], name: str) -> str:
    name, longest = name.strip(), model._meta.get_field("name").max_length
    # A second line would be one of the site's own in an e-mail.
    if not name or len(name) > longest or "\0" in name or name.splitlines() != [name]:
        what = model._meta.verbose_name
        raise InvalidName(f"The {what}'s name must have 1 to {longest} characters, in one line.")
    return name


def clean_new_fields(fields: dict) -> dict:
    """Like `clean_fields`, for a new tenant. An omitted field needs a valid default."""
    defaults = {field.name: field.get_default() for field in added_fields(Tenant) if field.editable}
    return clean_fields(defaults | fields)


def clean_fields(fields: dict) -> dict:
    """Return valid values of the project's own fields, by `attname`.

    The value of a foreign key is a row or its primary key. Raises InvalidField.
    """
    known = {field.name: field for field in added_fields(Tenant)}
    if unknown := fields.keys() - known.keys():
        names = ", ".join(known) or "none"
        raise InvalidField(f"A tenant has no field “{min(unknown)}” to set; it has: {names}.")
    return {known[name].attname: clean_field(known[name], value) for name, value in fields.items()}


def clean_field(field: Field, value):
    try:
        return field.clean(value.pk if isinstance(value, Model) else value, None)
    except ValidationError as error:
        raise InvalidField(f"{field.name}: {' '.join(error.messages)}") from None


@contextmanager
def refusing_duplicates(error: LifecycleError, *, durable: bool = False) -> Iterator[None]:
    """Begin a transaction. Raise `error` if it saves a slug or host that another row has.

    Raise InvalidField for another value that must be unique, also one of the project's own.
    """
    try:
        with transaction.atomic(durable=durable):
            yield
    except IntegrityError as conflict:
        if (found := duplicated(conflict)) is None:
            raise
        if found in ((Tenant, ["slug"]), (Domain, ["domain"])):
            raise error from None
        model, names = found
        what = ", ".join(names) or citus.violated(conflict.__cause__)[1]
        other = f"another {model._meta.verbose_name} has this value"
        raise InvalidField(f"{what}: {other}.") from None
