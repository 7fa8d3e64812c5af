"""The first step of making a tenant: names and owner are checked, slug and host are taken."""

import secrets
from contextlib import ExitStack

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Field, Model

from tenancy import hosts
from tenancy.concrete import Domain, Organization, Tenant, User, added_fields
from tenancy.exceptions import InvalidField, InvalidName, InvalidSlug, SlugTaken, is_taken
from tenancy.states import PROVISIONING


def clean_names(name: str, slug: str, organization: str) -> tuple[str, str]:
    """Return the tenant's and the organization's name as they are stored.

    Raises InvalidName or InvalidSlug.
    """
    name, organization = name.strip(), organization.strip()
    check_name(Tenant, name)
    check_name(Organization, organization)
    check_slug(slug)
    return name, organization


def check_slug(slug: str) -> None:
    try:
        hosts.validate_slug(slug)
    except ValidationError as error:
        raise InvalidSlug(error.message) from None


def check_name(model, name: str) -> None:
    longest = model._meta.get_field("name").max_length
    if not name or len(name) > longest or "\0" in name:
        what = model._meta.verbose_name
        raise InvalidName(f"The {what}'s name must have 1 to {longest} characters.")


def clean_new_fields(fields: dict) -> dict:
    """Like `clean_fields`, for a new tenant. A field that isn't given needs a valid default."""
    defaults = {field.name: field.get_default() for field in added_fields(Tenant) if field.editable}
    return clean_fields(defaults | fields)


def clean_fields(fields: dict) -> dict:
    """Return the values of the project's own fields, by `attname`, as Python has them.

    A foreign key's value is a row or its primary key. Raises InvalidField.
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


def find_unfinished(
    name: str, slug: str, organization: str, owner: User, origin: str
) -> Tenant | None:
    """Return the tenant that an earlier call with the same arguments has not finished.

    That call was killed, or still runs.
    """
    same = {"name": name, "organization__name": organization, "owner": owner, "origin": origin}
    return Tenant.all_objects.filter(slug=slug, status=PROVISIONING, **same).first()


def reserve(
    name: str,
    slug: str,
    organization: str,
    owner: User,
    origin: str,
    undo: ExitStack,
    *,
    fields: dict,
    organization_fields: dict | None = None,
) -> Domain:
    """Save the tenant and its domain in a short transaction. Raises SlugTaken.

    `undo` gets what removes them again.
    """
    try:
        with transaction.atomic(durable=True):
            customer, is_new = Organization.objects.get_or_create(
                organization_fields, name=organization
            )
            tenant = Tenant.objects.create(
                name=name,
                slug=slug,
                # A schema's name is never reused, so nothing of an earlier tenant is found again.
                schema_name=f"{slug}_{secrets.token_hex(4)}",
                organization=customer,
                owner=owner,
                origin=origin,
                **fields,
            )
            domain = Domain.objects.create(tenant=tenant, domain=hosts.host_of(slug))
    except IntegrityError as error:
        # Two callers may ask at once: the constraints decide, not a look beforehand.
        if not (is_taken(error, Tenant, "slug") or is_taken(error, Domain, "domain")):
            raise
        raise SlugTaken(f"“{slug}” is taken.") from None
    if is_new:
        undo.callback(lambda: Organization.objects.filter(pk=customer.pk, tenants=None).delete())
    undo.callback(lambda: Tenant._base_manager.filter(pk=tenant.pk).delete())
    return domain
