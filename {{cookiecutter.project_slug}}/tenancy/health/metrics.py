"""Numbers for Prometheus (`/_metrics`). It needs the package prometheus-client.

An owner's own metrics, made with that library, are in the answer too. Where several processes
answer, set PROMETHEUS_MULTIPROC_DIR, as the library's documentation says.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Count
from django.http import HttpResponse
from django_tenants.utils import get_public_schema_name
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from tenancy import __version__
from tenancy.concrete import Tenant
from tenancy.database import replica
from tenancy.database.replica.standby import standby
from tenancy.fleet import plan
from tenancy.models import Status
from tenancy.schemas import spares

SECONDS = 60  # for which the state of the fleet's migrations holds: it asks every schema


class Tenants(Collector):
    """The tenants by state and by their migrations. No label names one: there may be thousands."""

    def __init__(self):
        self.known, self.until = Counter(), 0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield gauge("tenancy_info", "The engine's version.", "version", {__version__: 1})
        rows = Tenant.all_objects.exclude(schema_name=get_public_schema_name())
        counts = dict(rows.values_list("status").annotate(Count("pk")).order_by())
        states = {status.value: counts.get(status.value, 0) for status in Status}
        yield gauge("tenancy_tenants", "Tenants by state.", "status", states)
        if spares.wanted():
            help_ = "Schemas that wait for tenants to come."
            yield GaugeMetricFamily("tenancy_spare_schemas", help_, value=spares.ready())
        if time.monotonic() >= self.until:
            self.known, self.until = by_migrations(), time.monotonic() + SECONDS
        help_ = "Tenants by whether their schemas have all migrations."
        yield gauge("tenancy_tenants_migrations", help_, "state", self.known)
        if replica.alias:
            standby.refresh()
            help_ = "Seconds by which the replica lags; infinite for one that is away."
            yield GaugeMetricFamily("tenancy_replica_lag_seconds", help_, standby.lag)

    def describe(self):
        return ()  # or it would be collected when it is registered


def gauge(name: str, help_: str, label: str, values: dict) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def by_migrations() -> dict[str, int]:
    """Return how many tenants have all migrations, lack some, or can't be migrated."""
    connection = connections[DEFAULT_DB_ALIAS]
    schemas = [*Tenant.objects.to_migrate().values_list("schema_name", flat=True)]
    cohorts, missing = plan.make(connection, schemas, {})
    found = Counter({"current": 0, "pending": 0, "broken": len(missing)})
    for cohort in cohorts:
        state = "broken" if cohort.error else "pending" if cohort.steps else "current"
        found[state] += len(cohort.schemas)
    if not connection.in_atomic_block:
        connection.close()  # its process on the server has learnt of every schema
    return found


def registry() -> CollectorRegistry:
    """Return the registry of this process' metrics, or of all processes', with the tenants'."""
    found = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        found = CollectorRegistry()
        MultiProcessCollector(found)
    found.register(Tenants())
    return found


SOURCE = registry()


def answer() -> HttpResponse:
    return HttpResponse(generate_latest(SOURCE), content_type=CONTENT_TYPE_LATEST)
