"""Find tenants whose schema is missing, and make an empty one."""

from django.db import connection, transaction
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy import roles
from tenancy.concrete import Tenant
from tenancy.people.members import grant
from tenancy.schemas import blueprint
from tenancy.states import fetch_for, log_event, new_event

ACTION = "create schema"


def without_schema() -> list[Tenant]:
    """Return the tenants that should have a schema, or get one when they are finished."""
    # The tenants first, so that a new one has its schema when the schemas are read.
    tenants = [*Tenant.all_objects.exclude(status=Tenant.Status.PURGING)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace")
        names = {name for (name,) in cursor}
    return [tenant for tenant in tenants if tenant.schema_name not in names]


def recreate_schema(tenant: Tenant, by: str) -> None:
    """Make an empty schema for a tenant that lost its own. Its members stay, without their roles.

    It commits as it goes. Raises IllegalTransition, and ProgrammingError if the schema exists.
    """
    with schema_context(get_public_schema_name()):
        row = fetch_for(ACTION, tenant)
    name = row.schema_name
    with blueprint.new_schema(name), schema_context(name), transaction.atomic(savepoint=False):
        log_event(new_event(ACTION, row, by, row.status), row)
        for user in row.user_set.all():
            grant(row, user, roles.OWNER if user.pk == row.owner_id else roles.MEMBER)
