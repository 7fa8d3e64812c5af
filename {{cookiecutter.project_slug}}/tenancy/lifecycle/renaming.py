"""A tenant's name, its slug, and the hosts that lead to it."""

from django.db.models import ProtectedError, RestrictedError

from tenancy import hosts
from tenancy.concrete import Domain, Tenant
from tenancy.exceptions import HostTaken, InvalidHost, LifecycleError, SlugTaken
from tenancy.lifecycle.reservation import check_slug, clean_name, refusing_duplicates
from tenancy.models import DomainClaim
from tenancy.people.handover.sessions import end_opened_at
from tenancy.states import transition


def rename(tenant: Tenant, by: str, *, name: str = "", slug: str = "", domain: str = "") -> Tenant:
    """Give the tenant another name, another slug, another primary domain.

    A new slug brings the host `<slug>.<DOMAIN>`. That becomes the primary one if the old slug's
    host was and no `domain` is given. The former primary host redirects from then on. Raises
    InvalidName, InvalidSlug, InvalidHost, SlugTaken or HostTaken.
    """
    if not (name or slug or domain):
        raise LifecycleError("Nothing to rename: give a name, a slug or a domain.")
    with transition("rename", tenant, by) as (row, event):
        event.before = names(row)
        if name:
            row.name = clean_name(Tenant, name)
        if slug:
            change_slug(row, slug)
        if domain:
            change_host(row, domain, is_primary=True)
        event.after = names(row)
        return row


def names(tenant: Tenant) -> str:
    return f"{tenant.name} ({tenant.slug}, {tenant.get_primary_domain()})"


def change_slug(tenant: Tenant, slug: str) -> None:
    check_slug(slug)
    was_primary = tenant.domains.filter(domain=hosts.host_of(tenant.slug), is_primary=True).exists()
    with refusing_duplicates(SlugTaken(f"“{slug}” is taken.")):
        Tenant.all_objects.filter(pk=tenant.pk).update(slug=slug)
    tenant.slug = slug
    change_host(tenant, hosts.host_of(slug), is_primary=was_primary)


def change_host(tenant: Tenant, host: str, *, is_primary: bool) -> None:
    """Let the host lead to the tenant. If it is primary, the former primary one redirects."""
    stored = as_stored(host)
    if is_primary:
        tenant.domains.filter(is_primary=True).update(is_primary=False, redirects=True)
    own = tenant.domains.filter(domain=stored).first() or Domain(tenant=tenant, domain=stored)
    own.is_primary, own.redirects = is_primary, not is_primary
    save(own)


def as_stored(host: str) -> str:
    """Return the host as it is stored. Raises InvalidHost, also for a port."""
    stored = hosts.normalise_host(host)
    if stored is None or ":" in host:
        raise InvalidHost(hosts.HOST_RULE)
    return stored


def save(domain: Domain) -> None:
    """Raises HostTaken."""
    with refusing_duplicates(HostTaken(f"“{domain}” is taken.")):
        domain.save()


def add_domain(tenant: Tenant, host: str, by: str, *, is_primary: bool = False, **fields) -> str:
    """Let another host lead to the tenant; return it as it is stored.

    `fields` are values of the fields that the project added to its domain model. Raises
    InvalidHost, HostTaken or IllegalTransition.
    """
    if is_primary:
        host = rename(tenant, by, domain=host).get_primary_domain().domain
        Domain.objects.filter(domain=host).update(**fields)
        return host
    with transition("add domain", tenant, by) as (row, event):
        event.before, event.after = "", as_stored(host)
        save(Domain(tenant=row, domain=event.after, is_primary=False, **fields))
        return event.after


def remove_domain(tenant: Tenant, host: str, by: str, *, fall_back: bool = False) -> str:
    """Let a host lead nowhere; return it as it was stored.

    The sessions that were opened there end, and a claim of the host with them. With `fall_back` the
    host `<slug>.<DOMAIN>` takes the place of the primary one. Raises LifecycleError for the primary
    domain otherwise, for a domain of another tenant, and if rows of the tenant are to keep it
    (`on_delete`).
    """
    with transition("remove domain", tenant, by) as (row, event):
        domain = row.domains.filter(domain=as_stored(host)).first()
        if domain is None:
            raise LifecycleError(f"“{host}” is no domain of “{row.slug}”.")
        own = hosts.host_of(row.slug)
        if domain.is_primary and fall_back and domain.domain != own:
            change_host(row, own, is_primary=True)
        elif domain.is_primary:
            raise LifecycleError(f"“{domain}” is the primary domain: `rename_tenant` first.")
        event.before, event.after = domain.domain, "removed"
        end_opened_at(domain.domain, row)
        DomainClaim.objects.filter(tenant=row, host=domain.domain).delete()
        try:
            with row:
                domain.delete()
        except (ProtectedError, RestrictedError) as error:
            raise LifecycleError(f"“{domain}” is in use: {error.args[0]}") from None
        return domain.domain
