"""Making a tenant: it is reserved, it gets a schema, it is activated.

A call that is killed leaves a tenant in the state `provisioning`. The same call, or `finish`,
finishes it; `abandon` removes it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.dispatch import Signal
from django_tenants.models import TenantMixin
from django_tenants.signals import post_schema_sync, schema_needs_to_be_sync
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy import roles
from tenancy.concrete import Organization, Tenant
from tenancy.exceptions import IllegalTransition, SlugTaken
from tenancy.lifecycle.reservation import (
    clean_names,
    clean_new_fields,
    find_unfinished,
    reserve,
)
from tenancy.locks import Taken, advisory_lock
from tenancy.people.finding import find_user
from tenancy.people.members import grant
from tenancy.schemas import blueprint
from tenancy.schemas.ddl import drop_schema
from tenancy.schemas.undo import undoing
from tenancy.schemas.uploads import remove_files
from tenancy.states import ACTIVE, fetch_for, log_event, new_event


@dataclass(frozen=True)
class Recipe:
    """How to create a tenant: new, as a clone, or from a backup.

    `action` is its name in the log. `new_schema(schema_name)` is a context manager that creates the
    schema, in one transaction with its block where it can. `grant_memberships(tenant)` runs in the
    last transaction. `fields` are valid values for the tenant's row, `organization_fields` for a
    new organization's. `origin` is kept with the tenant, to tell apart what a killed call has left.
    """

    action: str
    new_schema: Callable[[str], AbstractContextManager]
    grant_memberships: Callable[[Tenant], None]
    fields: dict = field(default_factory=dict)
    organization_fields: dict = field(default_factory=dict)
    origin: str = ""


def provision_tenant(
    name: str, slug: str, organization: str, username: str, *, by: str = "", **fields
) -> str:
    """Make a tenant and return its host name (FQDN), `<slug>.<DOMAIN>`.

    The organization is found by its name, or made. `username` is the user name or e-mail of the
    owner. `by` is the name for the log; without it the owner's. `fields` are values of the fields
    that the project added to its tenant model. Raises InvalidName, InvalidSlug, InvalidField,
    SlugTaken or UnknownUser. Whatever is raised, nothing is left behind. Where the process was
    killed, the same call finishes the tenant. It commits as it goes, so it can't be called inside a
    transaction.
    """
    return provision_by(
        new_tenant(clean_new_fields(fields)), name, slug, organization, username, by
    )


def request_tenant(
    name: str, slug: str, organization: str, username: str, *, by: str = "", **fields
) -> Tenant:
    """Reserve a tenant and return it; the background makes its schema.

    The background is a receiver of `schema_needs_to_be_sync`, which gets `requested_by`. Without
    PROVISION_IN_BACKGROUND the tenant is ready when this returns. A second call for a tenant that
    is still being made requests it again. Takes and raises what `provision_tenant` does.
    """
    if not in_background():
        host = provision_tenant(name, slug, organization, username, by=by, **fields)
        return Tenant.objects.get(domains__domain=host)
    name, organization = clean_names(name, slug, organization)
    fields = clean_new_fields(fields)
    with schema_context(get_public_schema_name()), undoing() as undo:
        owner = find_user(username, active=True)
        try:
            tenant = reserve(name, slug, organization, owner, "", undo, fields=fields).tenant
        except SlugTaken:
            tenant = find_unfinished(name, slug, organization, owner, "")
            if tenant is None:
                raise
    send_signal(schema_needs_to_be_sync, tenant, requested_by=by or owner.username)
    return tenant


def in_background() -> bool:
    """Return whether the project has a background that makes requested tenants."""
    return getattr(settings, "PROVISION_IN_BACKGROUND", False)


def provision_by(
    recipe: Recipe, name: str, slug: str, organization: str, username: str, by: str = ""
) -> str:
    """Make a tenant by the recipe; see `provision_tenant`."""
    name, organization = clean_names(name, slug, organization)
    with schema_context(get_public_schema_name()), making(slug):
        with undoing() as undo:
            owner = find_user(username, active=True)
            by = by or owner.username
            try:
                domain = reserve(
                    *(name, slug, organization, owner, recipe.origin, undo),
                    fields=recipe.fields,
                    organization_fields=recipe.organization_fields,
                )
            except SlugTaken:
                tenant = find_unfinished(name, slug, organization, owner, recipe.origin)
                if tenant is None:
                    raise
                return make(tenant, by, recipe)
            send_signal(schema_needs_to_be_sync, domain.tenant)
            with recipe.new_schema(domain.tenant.schema_name):
                activate(domain.tenant, by, recipe)
        send_signal(post_schema_sync, domain.tenant)
    return domain.domain


def finish(tenant: Tenant, by: str) -> str:
    """Finish a tenant whose provisioning was killed; return its host name.

    Raises IllegalTransition, also for half a clone or a half restore, and SlugTaken while another
    process makes the tenant. If it fails, the tenant stays in the state `provisioning`.
    """
    with schema_context(get_public_schema_name()), making(tenant.slug):
        if origin := fetch_for("provision", tenant).origin:
            again = f"`provision_tenant --abandon {tenant.slug}` and make it again"
            raise IllegalTransition("provision", tenant.slug, f"it is half a {origin}: {again}")
        return make(tenant, by, new_tenant())


def make(tenant: Tenant, by: str, recipe: Recipe) -> str:
    tenant = discard_unfinished("provision", tenant)
    with recipe.new_schema(tenant.schema_name):
        activate(tenant, by, recipe)
    send_signal(post_schema_sync, tenant)
    return tenant.get_primary_domain().domain


def abandon(tenant: Tenant, by: str) -> None:
    """Remove a tenant whose provisioning was killed, and its organization if that was new.

    Raises IllegalTransition, and SlugTaken while another process makes the tenant.
    """
    with schema_context(get_public_schema_name()), making(tenant.slug):
        tenant = discard_unfinished("abandon", tenant)
        # An organization that was made for this tenant was made in the same transaction.
        made_before = tenant.created - timedelta(seconds=1)
        customers = Organization.objects.filter(created__gt=made_before, tenants=None)
        with transaction.atomic():
            log_event(new_event("abandon", tenant, by, "abandoned"), tenant)
            Tenant._base_manager.filter(pk=tenant.pk).delete()
            customers.filter(pk=tenant.organization_id).delete()


def discard_unfinished(action: str, tenant: Tenant) -> Tenant:
    """Drop the schema of an unfinished tenant, if it has one. Raises IllegalTransition."""
    tenant = fetch_for(action, tenant)
    if tenant.user_set.exists():  # `reserve` gives it none: the status was written by hand
        raise IllegalTransition(action, tenant.slug, "it has members, and so it was active once")
    drop_schema(tenant.schema_name, missing_ok=True)
    remove_files(tenant.schema_name)
    return tenant


@contextmanager
def making(slug: str) -> Iterator[None]:
    """Be the only process that makes, finishes or abandons the tenant. Raises SlugTaken."""
    try:
        # Migrations close the connection, so its lock would end with it. Another connection takes
        # a quarter of the time that the whole provisioning takes.
        own = None if blueprint.is_usable() else connection.copy()
        with advisory_lock(f"provision {slug}", wait=False, connection=own or connection):
            yield
    except Taken:
        raise SlugTaken(f"“{slug}” is being made right now.") from None


def activate(tenant: Tenant, by: str, recipe: Recipe) -> None:
    """The last step: the members are added, and the tenant's hosts answer."""
    # The schema first: the connection remembers a search_path that was set outside a transaction.
    with schema_context(tenant.schema_name), transaction.atomic(savepoint=False):
        event = new_event(recipe.action, tenant, by, ACTIVE)
        tenant.status = ACTIVE
        tenant.save(update_fields=["status", "modified"])
        recipe.grant_memberships(tenant)
        log_event(event, tenant)


def new_tenant(fields: dict | None = None) -> Recipe:
    return Recipe("provision", blueprint.new_schema, grant_ownership, fields or {})


def grant_ownership(tenant: Tenant) -> None:
    grant(tenant, tenant.owner, roles.OWNER)


def send_signal(signal: Signal, tenant: Tenant, **more) -> None:
    """Send one of the library's signals. A receiver that raises is logged, and changes nothing."""
    signal.send_robust(sender=TenantMixin, tenant=tenant.serializable_fields(), **more)
