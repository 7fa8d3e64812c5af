"""Keeps the objects and the work of one tenant out of another."""

import functools
from collections.abc import Callable

from django.apps import apps
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections, router
from django.db.models.base import ModelState
from django.db.utils import ConnectionRouter
from django_tenants.utils import app_labels, tenant_context

from tenancy.database import replica
from tenancy.database.current import current
from tenancy.exceptions import WrongTenant


class SchemaAlias(str):
    """A database alias with a schema: the `_state.db` of objects that were loaded from it."""

    schema_name: str


@functools.lru_cache(maxsize=10_000)
def schema_alias(alias: str, schema_name: str) -> SchemaAlias:
    named = SchemaAlias(alias)
    named.schema_name = schema_name
    return named


class TenantRouter:
    """Refuses to save, delete or refresh an object of a tenant's app in another tenant.

    It chooses no database: other routers, such as one for an archive, stand below it. Django asks
    routers each time, so models need no code. It doesn't ask about the following, which use the
    tenant that is current when they run: a queryset, with any objects it was given (`bulk_update`,
    `filter(group=…)`); rows that refer to a shared object (`user.note_set`); calls that name a
    database (`save(using=…)`); uploaded files.

    GuardedRouter calls it, so that it works if another router answers first.
    """

    def check(self, instance, schema_name: str) -> None:
        """Raise WrongTenant if the instance is not of the schema, which is the current one."""
        origin = origin_of(instance)
        if origin and origin != schema_name:
            raise WrongTenant(
                f"{name(instance)} is of {origin}; the current tenant is {schema_name}."
            )

    def check_relation(self, one, other) -> None:
        """Raise WrongTenant if the instances are of two tenants."""
        origin, origin_of_other = origin_of(one), origin_of(other)
        if origin and origin_of_other and origin != origin_of_other:
            raise WrongTenant(
                f"{name(one)} is of {origin}, and {name(other)} of {origin_of_other}."
            )


class GuardedRouter(ConnectionRouter):
    """Django's router with TenantRouter in front of all others. The alias that one of these chooses
    gets the current schema.

    Where they choose the default database, a request may read from its replica instead.
    """

    guard = TenantRouter()

    def db_for_read(self, model, **hints):
        return self.choose(self.default_or_replica, model, hints)

    def db_for_write(self, model, **hints):
        return self.choose(super().db_for_write, model, hints)

    def default_or_replica(self, model, **hints) -> str:
        alias = super().db_for_read(model, **hints)
        chooser = replica.chooser.get()
        if chooser and alias == DEFAULT_DB_ALIAS and chooser.chooses(model):
            return replica.alias
        return alias

    def choose(self, choose, model, hints: dict) -> str:
        if not is_in_tenants(model):
            return choose(model, **hints)
        schema_name = current.get().schema_name
        self.guard.check(hints.get("instance"), schema_name)
        return schema_alias(choose(model, **hints), schema_name)

    def allow_relation(self, one, other, **hints):
        self.guard.check_relation(one, other)
        return super().allow_relation(one, other, **hints)


class Origin:
    """The attribute `db` of Django's ModelState: an alias with a schema. One that a call names, as
    `using("archive")` does, gets the schema that is current when an object is loaded or saved.

    An object that was read from the replica is the default database's, as its row is.
    """

    def __get__(self, state, owner=None):
        return None if state is None else vars(state).get("db")

    def __set__(self, state, alias):
        if type(alias) is str:
            alias = schema_alias(alias, current.get().schema_name)
        if replica.alias is not None and alias == replica.alias:
            alias = schema_alias(DEFAULT_DB_ALIAS, alias.schema_name)
        vars(state)["db"] = alias


def install() -> None:
    """Put the guard into Django, before any object is loaded."""
    router.__class__ = GuardedRouter
    ModelState.db = Origin()


def origin_of(instance) -> str | None:
    """Return the schema that an object of a tenant's app was loaded from or saved in, if any."""
    if instance is None or instance._state.adding or not is_in_tenants(instance):
        return None
    return getattr(instance._state.db, "schema_name", None)


def name(instance) -> str:
    return f"{instance._meta.object_name} {instance.pk}"


def is_in_tenants(model) -> bool:
    """Return whether the table of the model or instance is in each tenant's schema."""
    # Django's cache in the database asks about a class that is hardly a model.
    concrete = getattr(model._meta, "concrete_model", model)
    return concrete._meta.app_label in tenant_app_labels()


def shared_tables_of_tenants() -> list[str]:
    """Return the shared tables to which models of the tenants' apps refer."""
    models = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and is_in_tenants(model)
    ]
    others = {field.related_model for model in models for field in model._meta.local_fields}
    return sorted(table_of(other) for other in others if other and not is_in_tenants(other))


def is_in_apps(model, labels: frozenset[str]) -> bool:
    """Return whether the model's table and its parents' are those of apps with these labels.

    The table of an unmanaged model may be another model's.
    """
    concrete = model._meta.concrete_model
    return all(
        managed_label(each) in labels for each in (concrete, *concrete._meta.get_parent_list())
    )


def managed_label(model) -> str:
    """Return the label of the app whose migrations make the model's table."""
    if not model._meta.managed:
        for other in apps.get_models(include_auto_created=True):
            if other._meta.managed and other._meta.db_table == model._meta.db_table:
                return other._meta.app_label
    return model._meta.app_label


def is_shared(model) -> bool:
    """Return whether the model or instance has a table in the public schema."""
    return model._meta.concrete_model._meta.app_label in app_labels(settings.SHARED_APPS)


def table_of(model) -> str:
    """Return the name of the model's table in PostgreSQL's catalog: Django leaves quotes in it."""
    return model._meta.db_table.strip('"')


@functools.cache
def tenant_app_labels() -> frozenset[str]:
    return frozenset(app_labels(settings.TENANT_APPS))


def bind_to_current_tenant(function: Callable) -> Callable:
    """Return the function bound to the current tenant, for a call from another thread.

    A new thread starts in the public schema. Connections that the call opens are closed after it.
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
