"""The states of a tenant and the moves between them: the only way a tenant changes state."""

import secrets
from contextlib import ExitStack

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, connection, transaction
from django.db.backends.postgresql.psycopg_any import errors
from django.db.models import Model
from django_tenants.models import TenantMixin
from django_tenants.signals import post_schema_sync
from django_tenants.utils import get_public_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import tenant_user_added

from server.tenants import blueprint, hosts
from server.tenants.models import Domain, Organization, Tenant
from server.tenants.undo import undoing


class ProvisioningError(Exception):
    """A tenant can't be made; the message is a sentence for the person who asked for it."""


class InvalidName(ProvisioningError):
    """The tenant's or the organization's name is blank or too long."""


class InvalidSlug(ProvisioningError):
    """The slug breaks the rule in `hosts.validate_slug`, or is reserved."""


class SlugTaken(ProvisioningError):
    """Another tenant has the slug or the host."""


class UnknownUser(ProvisioningError):
    """No active user has the name."""


def provision_tenant(name: str, slug: str, organization: str, username: str) -> str:
    """Make a tenant and return its host name (FQDN), `<slug>.<DOMAIN>`.

    `organization` is found by its name or made; `username` (or e-mail) tells who owns the tenant.
    Raises InvalidName, InvalidSlug, SlugTaken or UnknownUser. Whatever is raised, nothing is left
    behind, unless the database is gone. It commits as it goes and so can't be called inside a
    transaction.
    """
    name, organization = name.strip(), organization.strip()
    check_name("tenant", name)
    check_name("organization", organization)
    try:
        hosts.validate_slug(slug)
    except ValidationError as error:
        raise InvalidSlug(error.message) from None

    with schema_context(get_public_schema_name()):
        with undoing() as undo:
            owner = find_owner(username)
            domain = reserve(name, slug, organization, owner, undo)
            tenant = domain.tenant
            with blueprint.new_schema(tenant.schema_name):
                activate(tenant)
        post_schema_sync.send_robust(sender=TenantMixin, tenant=tenant.serializable_fields())
    return domain.domain


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


def reserve(name: str, slug: str, organization: str, owner, undo: ExitStack) -> Domain:
    """The first step, a short transaction: slug and host are taken, or SlugTaken is raised."""
    try:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            # What comes next commits this too; nobody needs to wait for the disk twice.
            cursor.execute("SET LOCAL synchronous_commit = off")
            customer, is_new = Organization.objects.get_or_create(name=organization)
            tenant = Tenant.objects.create(
                name=name,
                slug=slug,
                # Never reused: what is left of an earlier tenant of that slug is not found again.
                schema_name=f"{slug}_{secrets.token_hex(4)}",
                organization=customer,
                owner=owner,
            )
            domain = Domain(tenant=tenant, domain=f"{slug}.{settings.DOMAIN}", is_primary=True)
            Model.save(domain, force_insert=True)  # the library's looks for other domains
    except IntegrityError as error:
        # Two may ask at once: the unique slug and host decide, not a look beforehand.
        if isinstance(error.__cause__, errors.UniqueViolation):
            raise SlugTaken(f"“{slug}” is taken.") from None
        raise
    if is_new:
        undo.callback(Organization.objects.filter(pk=customer.pk, tenants=None).delete)
    undo.callback(Tenant._base_manager.filter(pk=tenant.pk).delete)
    return domain


def activate(tenant: Tenant) -> None:
    """The last step: the owner moves in, and the tenant's host answers."""
    # The schema first: a search_path is remembered that was set outside of a transaction.
    with schema_context(tenant.schema_name), transaction.atomic(savepoint=False):
        tenant.status = Tenant.Status.ACTIVE
        tenant.save(update_fields=["status", "modified"])
        # As the library's `add_user`, without asking whether a new tenant has members. By the id:
        # the owner would keep, and take along to other tenants, the row with this one's rights.
        UserTenantPermissions.objects.create(
            profile_id=tenant.owner_id, is_superuser=True, is_staff=True
        )
        tenant.owner.tenants.add(tenant)
        tenant_user_added.send(sender=Tenant, user=tenant.owner, tenant=tenant)
