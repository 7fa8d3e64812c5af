"""How a tenant is born: reserved (in reservation.py), given a schema, activated; and what becomes
of one that was never finished."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.dispatch import Signal
from django_tenants.models import TenantMixin
from django_tenants.signals import post_schema_sync, schema_needs_to_be_sync
from django_tenants.utils import get_public_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import tenant_user_added

from server.roles.models import Role, put_into_group
from server.tenants import blueprint
from server.tenants.models import Organization, Tenant
from server.tenants.moves import ACTIVE, IllegalMove, line, read
from server.tenants.reservation import SlugTaken, checked, find_owner, left_of, reserve
from server.tenants.schemas import drop_schema
from server.tenants.undo import undoing
from server.tenants.uploads import remove_files


@dataclass(frozen=True)
class Way:
    """One in which a tenant comes about: what the log calls it, what makes the schema and tells the
    receivers of signals, running its block in the same transaction where it can, who moves in at
    the end and hears of it, and what `Tenant.origin` says.
    """

    move: str
    new_schema: Callable[[str], AbstractContextManager]
    move_in: Callable[[Tenant], None]
    origin: str = ""


def provision_tenant(
    name: str, slug: str, organization: str, username: str, *, by: str = ""
) -> str:
    """Make a tenant and return its host name (FQDN), `<slug>.<DOMAIN>`.

    `organization` is found by its name or made; `username` (or e-mail) tells who owns the tenant.
    `by` is who asked for it, the owner where it is empty. Raises InvalidName, InvalidSlug,
    SlugTaken or UnknownUser. Whatever is raised, nothing is left behind; where the process was
    killed, the same call finishes the tenant. It commits as it goes and so can't be called inside a
    transaction.
    """
    return bring_about(NEW, name, slug, organization, username, by)


def request_tenant(
    name: str, slug: str, organization: str, username: str, *, by: str = ""
) -> Tenant:
    """Reserve a tenant, and return at once: the background makes its schema.

    That is who hears `schema_needs_to_be_sync` with the name of who asked for it, `requested_by`.
    Without a background (PROVISION_IN_BACKGROUND) it is made before this returns. A second call for
    what is still being made asks for it again. Raises what `provision_tenant` raises.
    """
    if not in_background():
        host = provision_tenant(name, slug, organization, username, by=by)
        return Tenant.objects.get(domains__domain=host)
    name, organization = checked(name, slug, organization)
    with schema_context(get_public_schema_name()), undoing() as undo:
        owner = find_owner(username)
        try:
            tenant = reserve(name, slug, organization, owner, NEW.origin, undo).tenant
        except SlugTaken:
            tenant = left_of(name, slug, organization, owner, NEW.origin)
            if tenant is None:
                raise
    tell(schema_needs_to_be_sync, tenant, requested_by=by or owner.username)
    return tenant


def in_background() -> bool:
    """Whether there is a background that makes requested tenants."""
    return getattr(settings, "PROVISION_IN_BACKGROUND", False)


def bring_about(
    way: Way, name: str, slug: str, organization: str, username: str, by: str = ""
) -> str:
    """As `provision_tenant`, in any way; `username` owns the tenant."""
    name, organization = checked(name, slug, organization)
    with schema_context(get_public_schema_name()), alone(slug):
        with undoing() as undo:
            owner = find_owner(username)
            by = by or owner.username
            try:
                domain = reserve(name, slug, organization, owner, way.origin, undo)
            except SlugTaken:
                left = left_of(name, slug, organization, owner, way.origin)
                if left is None:
                    raise
                return make(left, by, way)
            tell(schema_needs_to_be_sync, domain.tenant)
            with way.new_schema(domain.tenant.schema_name):
                activate(domain.tenant, by, way)
        tell(post_schema_sync, domain.tenant)
    return domain.domain


def finish(tenant: Tenant, by: str) -> str:
    """Finish a tenant whose provisioning was killed; return its host name.

    Raises IllegalMove, also for half a clone, and SlugTaken while it is being made. What fails
    leaves it in provisioning.
    """
    with schema_context(get_public_schema_name()), alone(tenant.slug):
        if origin := read("provision", tenant).origin:
            again = f"`provision_tenant --abandon {tenant.slug}` and make it again"
            raise IllegalMove("provision", tenant.slug, f"it is half a {origin}: {again}")
        return make(tenant, by, NEW)


def make(tenant: Tenant, by: str, way: Way) -> str:
    tenant = remove_half("provision", tenant)
    with way.new_schema(tenant.schema_name):
        activate(tenant, by, way)
    tell(post_schema_sync, tenant)
    return tenant.get_primary_domain().domain


def abandon(tenant: Tenant, by: str) -> None:
    """Remove what is left of a tenant whose provisioning was killed, and its customer if new.

    Raises IllegalMove, and SlugTaken while it is being made.
    """
    with schema_context(get_public_schema_name()), alone(tenant.slug):
        tenant = remove_half("abandon", tenant)
        # Made for this tenant, and in the same transaction.
        made_before = tenant.created - timedelta(seconds=1)
        customers = Organization.objects.filter(created__gt=made_before, tenants=None)
        with transaction.atomic():
            line("abandon", tenant, by, "abandoned").save()
            Tenant._base_manager.filter(pk=tenant.pk).delete()
            customers.filter(pk=tenant.organization_id).delete()


def remove_half(move: str, tenant: Tenant) -> Tenant:
    """Drop the schema of a tenant that isn't finished, if it has one. Raises IllegalMove."""
    tenant = read(move, tenant)
    if tenant.user_set.exists():  # whoever wrote that status, it wasn't `reserve`
        raise IllegalMove(move, tenant.slug, "it has members, and so it was active once")
    drop_schema(tenant.schema_name, missing_ok=True)
    remove_files(tenant.schema_name)
    return tenant


@contextmanager
def alone(slug: str) -> Iterator[None]:
    """Make, finish or abandon a tenant. Raises SlugTaken while another process does.

    The lock ends with the connection, and so with a process that is killed.
    """
    name = f"provision {slug}"
    # Migrations close the one that there is; to open another takes a quarter of a provisioning.
    own = connection if blueprint.is_at_hand() else connection.copy()
    try:
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [name])
            (is_free,) = cursor.fetchone()
        if not is_free:
            raise SlugTaken(f"“{slug}” is being made right now.")
        try:
            yield
        finally:
            if own.connection:  # else it is free: it was that connection's
                # In whatever schema the connection is.
                with own.wrap_database_errors, own.connection.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [name])
    finally:
        if own is not connection:
            own.close()


def activate(tenant: Tenant, by: str, way: Way) -> None:
    """The last step: the members move in, and the tenant's host answers."""
    # The schema first: a search_path is remembered that was set outside of a transaction.
    with schema_context(tenant.schema_name), transaction.atomic(savepoint=False):
        line(way.move, tenant, by, ACTIVE).save()
        tenant.status = ACTIVE
        tenant.save(update_fields=["status", "modified"])
        way.move_in(tenant)


def move_owner_in(tenant: Tenant) -> None:
    # As the library's `add_user`, without asking whether a new tenant has members. By the id:
    # the owner would keep, and take along to other tenants, the row with this one's rights.
    UserTenantPermissions.objects.create(
        profile_id=tenant.owner_id, is_superuser=True, is_staff=True
    )
    put_into_group(tenant.owner_id, Role.OWNER)
    tenant.user_set.add(tenant.owner_id)
    tenant_user_added.send(sender=Tenant, user=tenant.owner, tenant=tenant)


NEW = Way("provision", blueprint.new_schema, move_owner_in)


def tell(signal: Signal, tenant: Tenant, **more) -> None:
    """Send one of the library's signals. A receiver that raises is logged, and changes nothing."""
    signal.send_robust(sender=TenantMixin, tenant=tenant.serializable_fields(), **more)
