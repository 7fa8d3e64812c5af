"""A tenant read at one moment, while others write to it; and what a clone and a restore share."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.apps import apps
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import connection, transaction
from django_tenants.utils import quote_schema_name
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import tenant_user_added

from server.roles.models import Role, put_into_group
from server.tenants.models import Tenant
from server.tenants.moves import LifecycleError, read

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


class CopyError(LifecycleError):
    """A tenant can't be cloned, backed up or restored."""


@contextmanager
def one_moment(move: str, tenant: Tenant) -> Iterator[str]:
    """A transaction to which the database stands still; yields its snapshot's id, for others.

    Whoever writes goes on, and who would alter a table of the tenant waits. Raises IllegalMove, and
    CopyError where there is nothing to read, for the schema is lost, or has just got another name,
    and where the tenant was renamed or transferred since it was read.
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
        row = read(move, tenant)
        if (row.name, row.slug, row.owner_id) != (tenant.name, tenant.slug, tenant.owner_id):
            raise CopyError(f"“{tenant.slug}” was changed meanwhile: run it again.")
        yield moment


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


def move_in(tenant: Tenant, members: Iterable, old_owner_id) -> None:
    """Have them be members, whose rights the schema has; the tenant's owner gets an owner's.

    Who was deactivated meanwhile is a member nowhere, and so not here.
    """
    rights = UserTenantPermissions.objects
    if tenant.owner_id != old_owner_id:
        rights.filter(profile_id=old_owner_id).update(is_superuser=False, is_staff=False)
        put_into_group(old_owner_id, Role.MEMBER)
        owners = {"is_superuser": True, "is_staff": True}
        rights.update_or_create(profile_id=tenant.owner_id, defaults=owners)
        put_into_group(tenant.owner_id, Role.OWNER)
    rights.filter(profile__is_active=False).delete()
    members = {member for member in members if member.is_active} | {tenant.owner}
    tenant.user_set.add(*members)
    for member in members:
        tenant_user_added.send(sender=Tenant, user=member, tenant=tenant)
