"""Making a tenant: reserve it, make its schema, activate it.

A killed call leaves a tenant in the state `provisioning`. The same call, or `finish`, finishes it;
`abandon` removes it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.dispatch import Signal
from django_tenants.models import TenantMixin
from django_tenants.signals import post_schema_sync, schema_needs_to_be_sync
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy import hosts, roles
from tenancy.concrete import Organization, Tenant
from tenancy.exceptions import IllegalTransition, SlugTaken
from tenancy.lifecycle.reservation import Recipe, clean_names, clean_new_fields, reserve
from tenancy.locks import advisory_lock
from tenancy.models import SIGN_UP
from tenancy.people.members import grant
from tenancy.schemas import blueprint, spares
from tenancy.schemas.ddl import drop_schema
from tenancy.schemas.undo import undoing
from tenancy.schemas.uploads import remove_files
from tenancy.states import ACTIVE, fetch_for, log_event, new_event

# Of a connection that makes tenants. It keeps a plan for each foreign key it checked, and looks at
# each whenever a table is made. To open a new connection takes as long as to make one tenant.
MAX_SCHEMAS = 100
# What `Tenant.progress` begins with after a failure in the background.
FAILED = "It failed and will be tried again"


def provision_tenant(
    name: str,
    slug: str,
    organization: Organization | str | None,
    username: str,
    *,
    by: str = "",
    origin: str = "",
    **fields,
) -> str:
    """Make a tenant and return its host name (FQDN), `<slug>.<DOMAIN>`.

    The organization is a row, or the name by which it is found or made. None makes one of the
    tenant's own, with its name. `username` is the user name or e-mail of the owner. `by` is the
    name for the log, by default the owner's. `origin` is SIGN_UP where the owner asked by
    themselves. `fields` are values of the fields that the project added to its tenant model. Raises
    InvalidName, InvalidSlug, InvalidField, SlugTaken, UnknownUser or AmbiguousOrganization. An
    exception leaves nothing behind. If the process is killed, the same call finishes the tenant. It
    commits as it goes, so it can't be called inside a transaction.
    """
    recipe = new_tenant(clean_new_fields(fields), origin)
    return provision_by(recipe, name, slug, organization, username, by)


def request_tenant(
    name: str,
    slug: str,
    organization: Organization | str | None,
    username: str,
    *,
    by: str = "",
    origin: str = "",
    **fields,
) -> Tenant:
    """Reserve a tenant and return it; the background makes its schema.

    The background is a receiver of `schema_needs_to_be_sync`, which gets `requested_by`. Without
    PROVISION_IN_BACKGROUND the tenant is ready when this returns. A second call for an unfinished
    tenant requests it again. Takes and raises what `provision_tenant` does.
    """
    if not in_background():
        options = {"by": by, "origin": origin, **fields}
        host = provision_tenant(name, slug, organization, username, **options)
        return Tenant.objects.get(domains__domain=host)
    name, organization = clean_names(name, slug, organization)
    recipe = new_tenant(clean_new_fields(fields), origin)
    with schema_context(get_public_schema_name()), undoing() as undo:
        tenant, _ = reserve(recipe, name, slug, organization, username, undo)
    send_signal(schema_needs_to_be_sync, tenant, requested_by=by or tenant.owner.username)
    return tenant


def request_again(tenant: Tenant, by: str) -> None:
    """Finish a tenant in the state `provisioning`, in the background if there is one.

    Raises what `finish` does.
    """
    if in_background():
        send_signal(schema_needs_to_be_sync, tenant, requested_by=by)
    else:
        finish(tenant, by)


def in_background() -> bool:
    """Return whether the project has a background that makes requested tenants."""
    return getattr(settings, "PROVISION_IN_BACKGROUND", False)


def provision_by(
    recipe: Recipe,
    name: str,
    slug: str,
    organization: Organization | str | None,
    username: str,
    by: str = "",
) -> str:
    """Make a tenant by the recipe; see `provision_tenant`."""
    name, organization = clean_names(name, slug, organization)
    with making(slug):
        with undoing() as undo:
            tenant, is_new = reserve(recipe, name, slug, organization, username, undo)
            if is_new:
                send_signal(schema_needs_to_be_sync, tenant)
            else:
                discard_unfinished("provision", tenant)
            with schema_for(tenant, recipe):
                activate(tenant, by or tenant.owner.username, recipe)
        return host_when_ready(tenant)


def finish(tenant: Tenant, by: str) -> str:
    """Finish a tenant whose provisioning was killed; return its host name.

    Raises IllegalTransition, also for an unfinished clone or restore, and SlugTaken while another
    process makes the tenant. If it fails, the tenant stays in the state `provisioning`.
    """
    with making(tenant.slug):
        tenant = fetch_for("provision", tenant)
        if tenant.origin not in ("", SIGN_UP):
            again = f"`provision_tenant --abandon {tenant.slug}` and make it again"
            reason = f"it is half a {tenant.origin}: {again}"
            raise IllegalTransition("provision", tenant.slug, reason)
        tenant = discard_unfinished("provision", tenant)
        recipe = new_tenant()
        with schema_for(tenant, recipe):
            activate(tenant, by, recipe)
        return host_when_ready(tenant)


def abandon(tenant: Tenant, by: str) -> None:
    """Remove a tenant whose provisioning was killed, and its organization if that was new.

    Raises IllegalTransition, and SlugTaken while another process makes the tenant.
    """
    with making(tenant.slug):
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
    if tenant.user_set.exists():  # `reserve` adds none: somebody set the status by hand
        raise IllegalTransition(action, tenant.slug, "it has members, so it was active once")
    drop_schema(tenant.schema_name, missing_ok=True)
    remove_files(tenant.schema_name)
    return tenant


@contextmanager
def making(slug: str) -> Iterator[None]:
    """Enter public. Raise SlugTaken if another process makes, finishes or abandons the tenant."""

    def refuse():
        raise SlugTaken(f"“{slug}” is being made right now.")

    with schema_context(get_public_schema_name()):
        # Migrations close the connection and its lock, which then needs a connection of its own.
        # Opening one takes a quarter of the time of a whole provisioning.
        own = connection if blueprint.is_usable() else None
        connection.close_if_worn(MAX_SCHEMAS)  # while it holds no lock
        with advisory_lock(f"provision {slug}", on_wait=refuse, connection=own):
            yield


@contextmanager
def schema_for(tenant: Tenant, recipe: Recipe) -> Iterator[None]:
    """Give the tenant a schema and run the block, in one transaction with it if that can be.

    A spare schema's name becomes the tenant's. If the block raises, the schema is gone.
    """
    with undoing() as undo:
        if recipe.takes_spare and spares.wanted() and take_spare(tenant, undo):
            schema = spares.given_out(tenant.schema_name)
        else:
            schema = recipe.new_schema(tenant.schema_name)
        with schema:
            yield


def take_spare(tenant: Tenant, undo: ExitStack) -> bool:
    """Give the tenant's row the name of a spare schema. Return False if there is none.

    It commits before code enters the schema: a spare that was entered, and had uploads or cached
    values under its name, must never become another tenant's.
    """
    with transaction.atomic():
        name = spares.take()
        if name is None:
            return False
        undo.callback(drop_taken, tenant, name)
        tenant.schema_name = name
        tenant.save(update_fields=["schema_name"])
    return True


def drop_taken(tenant: Tenant, name: str) -> None:
    """Drop the schema, unless the transaction that took it was rolled back: another process may
    have taken it since."""
    if Tenant._base_manager.filter(pk=tenant.pk, schema_name=name).exists():
        drop_schema(name, missing_ok=True)


def activate(tenant: Tenant, by: str, recipe: Recipe) -> None:
    """Add the members. From the commit on, the tenant's hosts answer."""
    # The schema first: the connection remembers a search_path that was set outside a transaction.
    with schema_context(tenant.schema_name), transaction.atomic(savepoint=False):
        event = new_event(recipe.action, tenant, by, ACTIVE)
        tenant.status = ACTIVE
        tenant.save(update_fields=["status", "modified"])
        recipe.grant_memberships(tenant)
        log_event(event, tenant)


def new_tenant(fields: dict | None = None, origin: str = "") -> Recipe:
    def grant_ownership(tenant):
        grant(tenant, tenant.owner, roles.OWNER, schema_is_new=True)

    return Recipe(
        "provision",
        blueprint.new_schema,
        grant_ownership,
        fields or {},
        origin=origin,
        takes_spare=True,
    )


def host_when_ready(tenant: Tenant) -> str:
    send_signal(post_schema_sync, tenant)
    return hosts.host_of(tenant.slug)


def send_signal(signal: Signal, tenant: Tenant, **more) -> None:
    """Send one of django-tenants' signals. An exception in a receiver is logged only."""
    signal.send_robust(sender=TenantMixin, tenant=tenant.serializable_fields(), **more)
