"""Tenants to copy, and what goes when the test is done."""

from contextlib import contextmanager

from django.conf import settings
from django.db import connection
from django.test import override_settings
from server.tenants.models import Organization, Tenant
from tenancy import lifecycle
from tenancy.lifecycle import provision_tenant
from tenancy.models import TenantEvent
from tenancy.schemas import blueprint
from tenancy.schemas.ddl import FORMER

NAME = "Copied"
SCHEMAS = """
    SELECT nspname FROM pg_namespace
    WHERE obj_description(oid, 'pg_namespace') IS DISTINCT FROM %s
        AND nspname NOT LIKE 'pg_%%temp%%'
    ORDER BY 1
"""


def execute(sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else None


def get(slug) -> Tenant:
    return Tenant.all_objects.get(slug=slug)


@contextmanager
def cleaned_up():
    """Remove what the block makes. Yield all that was there, and fail if any of it is missing."""
    tenants, organizations, _ = before = everything()
    log = [*TenantEvent.objects.values_list("pk", flat=True)]
    try:
        yield before
    finally:
        connection.set_schema_to_public()
        for tenant in Tenant.all_objects.exclude(pk__in=tenants):
            remove(tenant)
        Organization.objects.exclude(pk__in=organizations).delete()
        TenantEvent.objects.exclude(pk__in=log).delete()
    assert everything() == before


def remove(tenant):
    if tenant.status == Tenant.Status.PROVISIONING:
        lifecycle.abandon(tenant, "test")
    else:
        if tenant.status in (Tenant.Status.ACTIVE, Tenant.Status.SUSPENDED):
            lifecycle.delete(tenant, "test")
        lifecycle.purge(tenant, "test", now=True)


def everything():
    """But for what is left where a tenant was purged."""
    tenants = [*Tenant.all_objects.order_by("pk").values_list("pk", flat=True)]
    organizations = [*Organization.objects.order_by("pk").values_list("pk", flat=True)]
    return tenants, organizations, execute(SCHEMAS, [FORMER])


def provision(slug: str) -> Tenant:
    provision_tenant(NAME, slug, NAME, "admin")
    return get(slug)


@contextmanager
def exotic_installed():
    """The project with an app more, which has everything."""
    more = {
        name: [*getattr(settings, name), "engine.exotic"]
        for name in ("INSTALLED_APPS", "TENANT_APPS")
    }
    try:
        with override_settings(**more):
            forget_blueprint()
            yield
    finally:
        forget_blueprint()


def forget_blueprint():
    blueprint.key.cache_clear()
    blueprint.load.cache_clear()


def provision_exotic(slug: str) -> Tenant:
    """A tenant with an app that has everything."""
    with exotic_installed():
        tenant = provision(slug)
    # pg_dump writes this zero as a number without its sign, where a migration has made it.
    execute(f"UPDATE \"{tenant.schema_name}\".exotic_kinds SET real = '-0' WHERE real = -1")  # noqa: S608
    return tenant
