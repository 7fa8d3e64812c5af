"""On which node of Citus a tenant's schema is. `tenancy.database.citus` talks to Citus."""

from collections.abc import Iterator

from django.db import DatabaseError, connection
from django.db.models.expressions import RawSQL
from django_tenants.utils import get_public_schema_name

from tenancy.concrete import Tenant
from tenancy.database import citus
from tenancy.database.citus import Move
from tenancy.exceptions import LifecycleError, NoCitus, UnknownNode, one_line
from tenancy.history import record
from tenancy.locks import without_waiting
from tenancy.states import exclusive, fetch_for

ACTION = "move"


def move_tenant(tenant: Tenant, node: str, by: str, *, blocks_writes: bool = False) -> str:
    """Move a tenant to another node while it is in use; return the node that it was on.

    With `blocks_writes`, writes wait for the move: a table without a primary key needs that. Raises
    NoCitus, UnknownNode, IllegalTransition, and LifecycleError with the reason that Citus gives.
    """
    require_citus()
    if node not in (known := citus.nodes()):
        raise UnknownNode(f"There is no node “{node}”. There are: {', '.join(known)}.")
    with exclusive(ACTION, tenant):
        row = fetch_for(ACTION, tenant)
        before = citus.places().get(row.schema_name)
        if before is None:
            raise LifecycleError(f"“{row.slug}” is on no node yet: run distribute_tenants.")
        if before != node:
            try:
                citus.move(row.schema_name, node, blocks_writes=blocks_writes)
            except DatabaseError as error:
                connection.close()
                if citus.places().get(row.schema_name) != node:  # it may have gone on by itself
                    raise LifecycleError(f"“{row.slug}” stays: {one_line(error)}") from error
            record(ACTION, row, by, before=before, after=node)
        return before


def plan() -> list[tuple[Tenant, Move]]:
    """Return the moves after which all nodes hold about as many bytes.

    Raises NoCitus, and UnknownNode if there is none.
    """
    require_citus()
    if not citus.nodes():
        raise UnknownNode("Citus has no node for tenants.")
    tenants = {row.schema_name: row for row in movable()}
    places = {name: node for name, node in citus.places().items() if name in tenants}
    moves = citus.plan_moves(places, citus.sizes(), citus.nodes())
    return [(tenants[move.schema_name], move) for move in moves]


def undistributed() -> list[Tenant]:
    """Return the tenants whose schema is still on the coordinator. Raises NoCitus."""
    require_citus()
    places = citus.places()
    return [tenant for tenant in movable() if tenant.schema_name not in places]


def distribute_tenant(tenant: Tenant, by: str) -> str:
    """Move a tenant from the coordinator to a node, and return the node.

    What uses the tenant meanwhile waits until the end. Raises IllegalTransition, and LifecycleError
    with what keeps the tenant on the coordinator.
    """
    with exclusive(ACTION, tenant):
        row = fetch_for(ACTION, tenant)
        if found := citus.limits(row.schema_name):
            raise LifecycleError(f"“{row.slug}” stays: {describe(found)}.")
        try:
            without_waiting(lambda: distribute(row.schema_name))
        except DatabaseError as error:
            raise LifecycleError(f"“{row.slug}” stays: {one_line(error)}") from error
        node = citus.places().get(row.schema_name, "")
        record(ACTION, row, by, after=node)
        return node


def distribute(schema_name: str) -> None:
    """Lock all tables at once: a query that has one and waits for another would be a deadlock."""
    citus.lock_tables(schema_name)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = 0")
    citus.distribute(schema_name)


def describe(limits: list[tuple[str, str]]) -> str:
    return ", ".join(f"{table} has {thing}" for table, thing in limits)


def movable() -> Iterator[Tenant]:
    """Return the tenants that have a schema, without the columns that a table may lack."""
    tenants = Tenant.objects.exclude(schema_name=get_public_schema_name())
    tenants = tenants.filter(schema_name__in=RawSQL("SELECT nspname FROM pg_namespace", []))
    return tenants.only("slug", "schema_name").order_by("slug").iterator()


def require_citus() -> None:
    if not citus.is_citus():
        raise NoCitus("The server in DATABASE_URL is no Citus coordinator (see docs/scale.md).")
