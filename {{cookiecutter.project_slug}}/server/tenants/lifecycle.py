"""The states of a tenant and the moves between them: the only way a tenant changes state.

`provision_tenant`, `request_tenant`, `clone`, `backup`, `restore`, `finish`, `abandon` and `purge`
are here too, from files of their own. `by` is who did it, for the log. Each move returns the tenant
as it is then, and raises IllegalMove where the tenant's state forbids it, by the table in
`server.tenants.moves`. One of two moves of the same tenant waits for the other.
"""

from django.db import IntegrityError, transaction
from django.utils import timezone

from server.roles.models import Role
from server.tenants import hosts
from server.tenants.backup import backup
from server.tenants.clone import clone
from server.tenants.copying import CopyError
from server.tenants.members import find, give
from server.tenants.models import Domain, Tenant
from server.tenants.moves import IllegalMove, LifecycleError, end_of_grace, moving
from server.tenants.provisioning import abandon, finish, provision_tenant, request_tenant
from server.tenants.purge import purge
from server.tenants.reservation import (
    InvalidName,
    InvalidSlug,
    ProvisioningError,
    SlugTaken,
    UnknownUser,
    check_name,
    check_slug,
)
from server.tenants.restore import restore

__all__ = [
    "CopyError",
    "HostTaken",
    "IllegalMove",
    "InvalidHost",
    "InvalidName",
    "InvalidSlug",
    "LifecycleError",
    "ProvisioningError",
    "SlugTaken",
    "UnknownUser",
    "abandon",
    "backup",
    "clone",
    "delete",
    "finish",
    "provision_tenant",
    "purge",
    "rename",
    "request_tenant",
    "restore",
    "resume",
    "suspend",
    "transfer",
    "undelete",
]


class InvalidHost(LifecycleError):
    """What was to be a tenant's host breaks the rule in `hosts.validate_host`."""


class HostTaken(LifecycleError):
    """Another tenant has the host."""


def suspend(tenant: Tenant, by: str) -> Tenant:
    """Its hosts answer 503 with a page that says so, until it is resumed."""
    with moving("suspend", tenant, by) as (row, _):
        return row


def resume(tenant: Tenant, by: str) -> Tenant:
    with moving("resume", tenant, by) as (row, _):
        return row


def delete(tenant: Tenant, by: str) -> Tenant:
    """Its hosts answer 410. For TENANT_GRACE_DAYS `undelete` brings all of it back."""
    with moving("delete", tenant, by) as (row, change):
        row.status_before, row.deleted = change.before, timezone.now()
        return row


def undelete(tenant: Tenant, by: str) -> Tenant:
    """Make a deleted tenant what it was: active or suspended."""
    with moving("undelete", tenant, by) as (row, _):
        if timezone.now() >= end_of_grace(row):
            raise IllegalMove(
                "undelete", row.slug, f"it was to be kept until {end_of_grace(row):%F}"
            )
        row.status, row.status_before, row.deleted = row.status_before, "", None
        return row


def rename(tenant: Tenant, by: str, *, name: str = "", slug: str = "", domain: str = "") -> Tenant:
    """Give the tenant another name for people, another slug, another primary domain.

    A slug brings its host, `<slug>.<DOMAIN>`, which becomes the primary one where the old slug's
    was and no `domain` is given. A host that was the primary one redirects from now on, and so does
    a slug's that isn't. Raises InvalidName, InvalidSlug, InvalidHost, SlugTaken or HostTaken.
    """
    if not (name or slug or domain):
        raise LifecycleError("Nothing to rename: give a name, a slug or a domain.")
    with moving("rename", tenant, by) as (row, change):
        change.before = names(row)
        if name:
            row.name = name.strip()
            check_name("tenant", row.name)
        if slug:
            change_slug(row, slug)
        if domain:
            change_host(row, domain, is_primary=True)
        change.after = names(row)
        return row


def names(tenant: Tenant) -> str:
    primary = tenant.get_primary_domain()
    return f"{tenant.name} ({tenant.slug}, {primary})"


def change_slug(tenant: Tenant, slug: str) -> None:
    check_slug(slug)
    was_primary = tenant.domains.filter(domain=hosts.host_of(tenant.slug), is_primary=True).exists()
    try:
        with transaction.atomic():
            Tenant.everything.filter(pk=tenant.pk).update(slug=slug)
    except IntegrityError:
        raise SlugTaken(f"“{slug}” is taken.") from None
    tenant.slug = slug
    change_host(tenant, hosts.host_of(slug), is_primary=was_primary)


def change_host(tenant: Tenant, host: str, *, is_primary: bool) -> None:
    """Have the host lead to the tenant: as the primary one, from which the old one differs."""
    found = as_stored(host)
    if is_primary:
        tenant.domains.filter(is_primary=True).update(is_primary=False, redirects=True)
    own = tenant.domains.filter(domain=found).first() or Domain(tenant=tenant, domain=found)
    own.is_primary, own.redirects = is_primary, not is_primary
    store(own)


def as_stored(host: str) -> str:
    """The spelling under which the host is found. Raises InvalidHost, also where it has a port."""
    found = hosts.normalise_host(host)
    if found is None or ":" in host:
        raise InvalidHost(hosts.HOST_RULE)
    return found


def store(domain: Domain) -> None:
    """Raises HostTaken."""
    try:
        with transaction.atomic():
            domain.save()
    except IntegrityError:
        raise HostTaken(f"“{domain}” is taken.") from None


def transfer(tenant: Tenant, username: str, by: str) -> Tenant:
    """Give the tenant to another owner, by user name or e-mail, who becomes a member if need be.

    The old owner stays a member, in the role member. Raises UnknownUser.
    """
    with moving("transfer", tenant, by) as (row, change):
        old, new = row.owner, find(username, active=True)
        if new == old:
            raise IllegalMove("transfer", row.slug, f"{new} owns it already")
        change.before, change.after = str(old), str(new)
        row.owner = new
        give(row, old, Role.MEMBER)
        give(row, new, Role.OWNER)
        return row
