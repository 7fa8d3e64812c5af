"""The tenant of a host, from a cache that is emptied before a request if a tenant has changed.

Triggers on the tables of tenants and domains (the migration `0002_notify`) send a notification,
also if raw SQL changes them. Unknown hosts are cached apart, so that they push out no known ones. A
tenant that is being provisioned is looked up each time, since nothing notifies when it is ready.
"""

import functools

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Case, F, OuterRef, Subquery, When
from django.db.models.base import ModelState

from tenancy.concrete import Domain, Tenant

CHANNEL = "tenants"
MAX_CACHED_HOSTS = 10_000
HOST = "the host"  # in the parameters of the query, which is built once


def find(host: str, connection=connection) -> Tenant | None:
    """Return the tenant of the normalised `host`, an object of the caller's own.

    Its status says whether the host answers, `moved_to` is the host to redirect to, if any, and
    `secure_since` the time since which the host answers over TLS.
    `connection` is the default one; a caller that has it saves Django the search for it.
    """
    cache = connection.cache_for(CHANNEL)
    known = cache.setdefault("known", {})
    if cached := known.get(host):
        return copy_of(cached)
    unknown = cache.setdefault("unknown", {})
    if host in unknown:
        return None
    tenant = look_up(host)
    if tenant and tenant.status == Tenant.Status.PROVISIONING:
        return None
    hosts = known if tenant else unknown
    if len(hosts) >= MAX_CACHED_HOSTS:
        hosts.clear()
    hosts[host] = tenant
    return tenant and copy_of(tenant)


def look_up(host: str) -> Tenant | None:
    sql, parameters = lookup()
    parameters = [host if each is HOST else each for each in parameters]
    # Over the connection that gets the notifications.
    return next(iter(Tenant.all_objects.raw(sql, parameters, using=DEFAULT_DB_ALIAS)), None)


@functools.cache
def lookup() -> tuple[str, tuple]:
    """Return the query and its parameters, among which HOST stands for the host.

    Django takes four times as long to build it as PostgreSQL to answer.
    """
    primary = Domain.objects.filter(tenant=OuterRef("pk"), is_primary=True).exclude(domain=HOST)
    to_primary = When(domains__redirects=True, then=Subquery(primary.values("domain")[:1]))
    tenants = Tenant.all_objects.filter(domains__domain=HOST)
    tenants = tenants.exclude(status=Tenant.Status.PURGING)
    secure_since = F("domains__secure_since")
    tenants = tenants.annotate(moved_to=Case(to_primary), secure_since=secure_since)
    return tenants.query.sql_with_params()


def copy_of(cached: Tenant) -> Tenant:
    """Return the tenant as it was loaded; copy.copy() takes four times as long."""
    tenant, state = Tenant.__new__(Tenant), ModelState()
    state.adding, state.db = False, cached._state.db
    vars(tenant).update(vars(cached), _state=state)
    return tenant
