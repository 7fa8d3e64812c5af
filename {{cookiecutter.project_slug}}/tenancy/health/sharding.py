"""Finds what Citus refuses, and tenants that are on none of its nodes."""

from collections.abc import Iterator

from django.core.checks import CheckMessage
from django_tenants.utils import get_public_schema_name

from tenancy.database import citus
from tenancy.health.findings import finding
from tenancy.lifecycle import nodes


def examine() -> Iterator[CheckMessage]:
    """Yield nothing if the server isn't a coordinator of Citus."""
    if not citus.is_citus():
        return
    public = get_public_schema_name()
    if citus.makes_schemas_on_nodes():
        yield finding("E122", "citus.enable_schema_based_sharding is on.", public)
    if not citus.nodes():
        yield finding("E123", "Citus has no node for tenants.", public)
        return
    for tenant in nodes.undistributed():
        name = tenant.schema_name
        limits = nodes.describe(citus.limits(name))
        message = f"on the coordinator, not on a node{limits and f': {limits}'}."
        yield finding("W124", message, name)
