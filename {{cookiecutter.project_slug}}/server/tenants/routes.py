"""Where a host leads, from memory. What changes a tenant or a domain is heard before a request.

Triggers on the two tables (the migration `0003_notify`) send the notification, also where raw SQL
changes them. Hosts that lead nowhere have room of their own, and push nothing else out.
"""

from django.db import DEFAULT_DB_ALIAS, connection

from server.tenants.models import Tenant

CHANNEL = "tenants"
MOST = 10_000
FIELDS = [field.attname for field in Tenant._meta.concrete_fields]


def find(host: str) -> Tenant | None:
    """The active tenant to which the normalised `host` leads: each time an object of its own."""
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
    return row and Tenant.from_db(DEFAULT_DB_ALIAS, FIELDS, row)


def look_up(host: str) -> tuple | None:
    # Over the connection that hears of changes.
    active = Tenant.objects.using(DEFAULT_DB_ALIAS).filter(status=Tenant.Status.ACTIVE)
    return active.filter(domains__domain=host).values_list(*FIELDS).first()
