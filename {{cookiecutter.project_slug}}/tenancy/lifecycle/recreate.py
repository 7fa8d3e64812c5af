"""Tenants whose schema isn't there: which they are, and an empty one for who has lost theirs."""

from django.db import connection, transaction
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy import roles
from tenancy.concrete import Tenant
from tenancy.people.members import grant
from tenancy.schemas import blueprint
from tenancy.states import fetch_for, log_event, new_event

ACTION = "create schema"


def without_schema() -> list[Tenant]:
    """Those that should have a schema, or will have one when they are finished."""
    # The tenants first: one that is made in between has its schema when the schemas are read.
    expected = Tenant.all_objects.exclude(status=Tenant.Status.PURGING)
    names = dict(expected.values_list("schema_name", "pk"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace")
        for (name,) in cursor:
            names.pop(name, None)
    return [*Tenant.all_objects.filter(pk__in=names.values())]


def recreate_schema(tenant: Tenant, by: str) -> None:
    """Make the schema of a tenant that has lost it: as a new tenant's, with the members it has.

    All that was in it stays lost, the members' roles too. It commits as it goes. Raises
    IllegalTransition, and ProgrammingError where the schema is there.
    """
    with schema_context(get_public_schema_name()):
        row = fetch_for(ACTION, tenant)
    name = row.schema_name
    with blueprint.new_schema(name), schema_context(name), transaction.atomic(savepoint=False):
        log_event(new_event(ACTION, row, by, row.status), row)
        for user in row.user_set.all():
            grant(row, user, roles.OWNER if user.pk == row.owner_id else roles.MEMBER)
