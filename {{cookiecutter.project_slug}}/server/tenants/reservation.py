"""The first step of a tenant's birth: what it is called and who owns it is checked and taken."""

import secrets
from contextlib import ExitStack

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction
from django.db.models import Model

from server.tenants import hosts
from server.tenants.models import Domain, Organization, Tenant
from server.tenants.moves import PROVISIONING, LifecycleError

# What the database calls the constraints that make slug and host unique.
TAKEN = {"tenants_tenant_slug_key", "tenants_domain_domain_key"}


class ProvisioningError(LifecycleError):
    """A tenant can't be made, or named, as was asked for."""


class InvalidName(ProvisioningError):
    """The tenant's or the organization's name is blank or too long."""


class InvalidSlug(ProvisioningError):
    """The slug breaks the rule in `hosts.validate_slug`, or is reserved."""


class SlugTaken(ProvisioningError):
    """Another tenant has the slug or the host."""


class UnknownUser(ProvisioningError):
    """No active user has the name."""


def checked(name: str, slug: str, organization: str) -> tuple[str, str]:
    """The two names as they are stored."""
    name, organization = name.strip(), organization.strip()
    check_name("tenant", name)
    check_name("organization", organization)
    check_slug(slug)
    return name, organization


def left_of(name: str, slug: str, organization: str, owner, origin: str) -> Tenant | None:
    """What a killed call for the same has left, or one that is still at it."""
    same = {"name": name, "organization__name": organization, "owner": owner, "origin": origin}
    return Tenant.everything.filter(slug=slug, status=PROVISIONING, **same).first()


def check_slug(slug: str) -> None:
    try:
        hosts.validate_slug(slug)
    except ValidationError as error:
        raise InvalidSlug(error.message) from None


def check_name(what: str, name: str) -> None:
    longest = Tenant._meta.get_field("name").max_length
    if not name or len(name) > longest or "\0" in name:
        raise InvalidName(f"The {what}'s name must have 1 to {longest} characters.")


def find_owner(username: str):
    User = get_user_model()
    try:
        owner = User.objects.get_by_natural_key(username)
    except (User.DoesNotExist, ValueError, DataError):  # the last two for NUL, by the driver
        owner = None
    if owner is None or not owner.is_active:
        raise UnknownUser(f"There is no active user “{username}”.")
    return owner


def reserve(name: str, slug: str, organization: str, owner, origin: str, undo: ExitStack) -> Domain:
    """The first step, a short transaction: slug and host are taken, or SlugTaken is raised."""
    try:
        with transaction.atomic(durable=True):
            customer, is_new = Organization.objects.get_or_create(name=organization)
            tenant = Tenant(
                name=name,
                slug=slug,
                # Never reused: what is left of an earlier tenant of that slug is not found again.
                schema_name=f"{slug}_{secrets.token_hex(4)}",
                organization=customer,
                owner=owner,
                origin=origin,
            )
            Model.save(tenant)  # the library's would send schema_needs_to_be_sync before the commit
            domain = Domain(tenant=tenant, domain=hosts.host_of(slug), is_primary=True)
            domain.save()
    except IntegrityError as error:
        # Two may ask at once: the unique slug and host decide, not a look beforehand.
        if error.__cause__.diag.constraint_name not in TAKEN:
            raise
        raise SlugTaken(f"“{slug}” is taken.") from None
    if is_new:
        undo.callback(lambda: Organization.objects.filter(pk=customer.pk, tenants=None).delete())
    undo.callback(lambda: Tenant._base_manager.filter(pk=tenant.pk).delete())
    return domain
