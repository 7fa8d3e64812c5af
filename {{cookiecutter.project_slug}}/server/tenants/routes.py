"""Where a host leads, from memory. What changes a tenant or a domain is heard before a request.

Triggers on the two tables (the migration `0003_notify`) send the notification, also where raw SQL
changes them. Hosts that lead nowhere have room of their own, and push nothing else out.
"""

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Case, OuterRef, Subquery, When

from server.tenants.models import Domain, Tenant

CHANNEL = "tenants"
MOST = 10_000
FIELDS = [field.attname for field in Tenant._meta.concrete_fields]


def find(host: str) -> Tenant | None:
    """The tenant to which the normalised `host` leads: each time an object of its own.

    Its status says whether the host answers, and `moved_to` where it redirects to, if it does.
    """
    memory = connection.memory(CHANNEL)
    known = memory.setdefault("known", {})
    unknown = memory.setdefault("unknown", {})
    if host in unknown:
        return None
    row = known.get(host) or look_up(host)
    remembered = unknown if row is None else known
    if host not in remembered:
        if len(remembered) >= MOST:
            remembered.clear()
        remembered[host] = row
    if row is None:
        return None
    *fields, moved_to = row
    tenant = Tenant.from_db(DEFAULT_DB_ALIAS, FIELDS, fields)
    tenant.moved_to = moved_to
    return tenant


def look_up(host: str) -> tuple | None:
    # Over the connection that hears of changes.
    tenants = Tenant.objects.using(DEFAULT_DB_ALIAS).filter(domains__domain=host)
    primary = Domain.objects.filter(tenant=OuterRef("pk"), is_primary=True).exclude(domain=host)
    to_primary = When(domains__redirects=True, then=Subquery(primary.values("domain")[:1]))
    return tenants.annotate(to=Case(to_primary)).values_list(*FIELDS, "to").first()
