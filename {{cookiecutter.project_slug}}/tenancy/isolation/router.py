"""An object or a piece of work of one tenant is an error, or stays its own, in another."""

import functools
from collections.abc import Callable

from django.conf import settings
from django.db import connection, connections
from django_tenants.utils import app_labels, get_tenant_database_alias, tenant_context

from tenancy.exceptions import WrongTenant


class SchemaAlias(str):
    """A database alias that remembers a schema: the `_state.db` of what came from there."""

    schema_name: str


@functools.lru_cache(maxsize=10_000)
def schema_alias(schema_name: str) -> SchemaAlias:
    alias = SchemaAlias(get_tenant_database_alias())
    alias.schema_name = schema_name
    return alias


class TenantRouter:
    """Refuses to save, delete or refresh an object of a tenant's app in another tenant.

    Django asks a router each time, so the models need not know. What it doesn't ask about reads and
    writes the tenant that is current: a queryset when it is evaluated, wherever it was made, with
    whatever objects it was given (`bulk_update`, `filter(group=…)`); what hangs on an object of all
    tenants (`user.note_set`); whoever names a database (`save(using=…)`); an uploaded file.
    """

    def db_for_read(self, model, instance=None, **hints):
        if not is_in_tenants(model):
            return None
        current = connection.current_schema  # in an event loop too, where an object may be built
        origin = origin_of(instance)
        if origin and origin != current:
            raise WrongTenant(f"{name(instance)} is of {origin}; the current tenant is {current}.")
        return schema_alias(current)

    db_for_write = db_for_read

    def allow_relation(self, one, other, **hints):
        origin, origin_of_other = origin_of(one), origin_of(other)
        if origin and origin_of_other and origin != origin_of_other:
            raise WrongTenant(
                f"{name(one)} is of {origin}, and {name(other)} of {origin_of_other}."
            )


def origin_of(instance) -> str | None:
    """The schema that an object of a tenant's app was loaded from or saved in, if it was."""
    if instance is None or instance._state.adding or not is_in_tenants(instance):
        return None
    return getattr(instance._state.db, "schema_name", None)


def name(instance) -> str:
    return f"{instance._meta.object_name} {instance.pk}"


def is_in_tenants(model) -> bool:
    """Whether the table of the model, or of an instance, is in each tenant's schema."""
    return model._meta.concrete_model._meta.app_label in tenant_app_labels()


@functools.cache
def tenant_app_labels() -> frozenset[str]:
    return frozenset(app_labels(settings.TENANT_APPS))


def bind_to_current_tenant(function: Callable) -> Callable:
    """The function, to be called from another thread, bound to the tenant that is current now.

    A new thread begins in the public schema. The connections that the call opens are closed.
    """
    tenant = connection.tenant

    @functools.wraps(function)
    def bound(*args, **kwargs):
        opened = connection.connection is None
        try:
            with tenant_context(tenant):
                return function(*args, **kwargs)
        finally:
            if opened:
                connections.close_all()

    return bound
