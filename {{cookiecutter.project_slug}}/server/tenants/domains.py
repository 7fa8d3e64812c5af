"""Further host names of a tenant, which answer as the primary one does."""

from server.tenants.lifecycle import HostTaken, LifecycleError, as_stored, rename, store
from server.tenants.models import Domain, Tenant
from server.tenants.moves import moving


def add_domain(tenant: Tenant, host: str, by: str, *, is_primary: bool = False) -> str:
    """Have the host lead to the tenant; returns it as it is stored.

    Raises InvalidHost, HostTaken and IllegalMove.
    """
    if is_primary:
        return rename(tenant, by, domain=host).get_primary_domain().domain
    found = check_free(host)
    with moving("rename", tenant, by) as (row, change):
        change.before, change.after = "", found
        store(Domain(tenant=row, domain=found, is_primary=False))
    return found


def remove_domain(tenant: Tenant, host: str, by: str) -> str:
    """Raises LifecycleError for the primary domain and for one of another tenant."""
    with moving("rename", tenant, by) as (row, change):
        domain = row.domains.filter(domain=as_stored(host)).first()
        if domain is None:
            raise LifecycleError(f"“{host}” is no domain of “{row.slug}”.")
        if domain.is_primary:
            raise LifecycleError(f"“{domain}” is the primary domain: `rename_tenant` first.")
        change.before, change.after = domain.domain, "removed"
        domain.delete()
        return domain.domain


def check_free(host: str) -> str:
    """The host as it is stored. Raises InvalidHost and HostTaken."""
    found = as_stored(host)
    if Domain.objects.filter(domain=found).exists():
        raise HostTaken(f"“{found}” is taken.")
    return found
