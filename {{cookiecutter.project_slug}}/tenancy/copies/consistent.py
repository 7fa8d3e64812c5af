"""A tenant read at one moment, while others write to it; and what a clone and a restore share."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.apps import apps
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import connection, transaction
from django_tenants.utils import quote_schema_name
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import tenant_user_added

from tenancy import roles
from tenancy.concrete import Tenant, added_fields
from tenancy.exceptions import CopyError
from tenancy.states import fetch_for

# Rows are in these: a partitioned table's are in its partitions.
TABLES = """
    SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace(%s)
    ORDER BY relname
"""
# What goes through its text comes back the same; a row that is hidden from us is an error.
EXACT = """
    SET LOCAL datestyle = ISO; SET LOCAL intervalstyle = postgres;
    SET LOCAL extra_float_digits = 1; SET LOCAL row_security = off;
"""


@contextmanager
def consistent_read(action: str, tenant: Tenant) -> Iterator[str]:
    """Begin a transaction that sees the tenant at one moment; yield its snapshot's id, for pg_dump.

    Others can write meanwhile. A migration of the tenant waits. Raises IllegalTransition, and
    CopyError if the schema has no tables, or if the tenant's row was changed since it was read.
    """
    own = quote_schema_name(tenant.schema_name)
    tables = [f"{own}.{quote_schema_name(name)}" for name in tables_of(tenant.schema_name)]
    if not tables:
        raise CopyError(f"The schema {tenant.schema_name} of “{tenant.slug}” has no tables.")
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # First: a table that is rewritten after the moment looks empty to it. And before that, what
        # a migration has locked from its beginning to its end: two that wait for each other fail.
        cursor.execute(f"LOCK TABLE {own}.django_migrations IN SHARE MODE")
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE")
        cursor.execute(EXACT)
        cursor.execute("SELECT pg_export_snapshot()")
        (moment,) = cursor.fetchone()
        row = fetch_for(action, tenant)
        if values_of(row) != values_of(tenant):
            raise CopyError(f"“{tenant.slug}” was changed meanwhile: run it again.")
        yield moment


def values_of(tenant: Tenant) -> list:
    """Return what a copy takes over from the tenant's row."""
    names = ["name", "slug", "owner_id", *(field.attname for field in added_fields(Tenant))]
    return [getattr(tenant, name) for name in names]


def tables_of(schema_name: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(TABLES, [quote_schema_name(schema_name)])
        return [name for (name,) in cursor]


def left_out() -> list[str]:
    """The tables whose rows stay behind: who is signed in at one host isn't so at another."""
    return [
        model._meta.db_table
        for model in apps.get_models()
        if issubclass(model, AbstractBaseSession)
    ]


def run(statements: Iterable[str]) -> None:
    """In one round trip, in the current schema."""
    with connection.cursor() as cursor:
        # What one function calls may come later.
        cursor.execute("\n".join(["SET LOCAL check_function_bodies = off;", *statements]))


def grant_memberships(tenant: Tenant, members: Iterable, old_owner_id) -> None:
    """Add `members`, whose permission rows are already in the copied schema.

    The tenant's owner gets full rights. People who were deactivated meanwhile are skipped.
    """
    rights = UserTenantPermissions.objects
    if tenant.owner_id != old_owner_id:
        for user_id, role in ((old_owner_id, roles.MEMBER), (tenant.owner_id, roles.OWNER)):
            row, _ = rights.update_or_create(roles.flags(role), profile_id=user_id)
            roles.assign_role(row, role)
    rights.filter(profile__is_active=False).delete()
    members = {member for member in members if member.is_active} | {tenant.owner}
    tenant.user_set.add(*members)
    for member in members:
        tenant_user_added.send(sender=Tenant, user=member, tenant=tenant)
