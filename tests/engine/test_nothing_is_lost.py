"""Only purging drops a schema, and a failed provisioning the one that it made itself."""

from contextlib import nullcontext, suppress

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import Model, ProtectedError
from django_tenants.models import TenantMixin
from django_tenants.utils import schema_exists
from server.tenants.models import Domain, Organization, Tenant
from tenancy import lifecycle
from tenancy.exceptions import LifecycleError
from tenancy.lifecycle import renaming
from tenancy.models import Blueprint, TenantEvent
from tenancy.people import accounts, members
from tenancy.schemas.ddl import drop_schema
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import DeleteError, TenantBase

from engine.copies import execute

User = get_user_model()


@pytest.fixture
def outside(tenant):
    """The tenant, seen from the public schema; its schema must be there in the end."""
    connection.set_schema_to_public()
    yield tenant
    assert schema_exists(tenant.schema_name)
    assert Tenant.objects.filter(pk=tenant.pk).exists()


@pytest.fixture
def all_kept(outside):
    """All that is there must be there in the end: schemas with their tables, tenants, people."""
    before = everything()
    yield outside
    connection.set_schema_to_public()
    assert everything() == before


def everything():
    tables = execute("SELECT relnamespace::regnamespace::text, relname FROM pg_class ORDER BY 1, 2")
    kept = [Tenant.all_objects, User.objects, Organization.objects, Domain.objects]
    return tables, [[*rows.order_by("pk").values_list("pk", flat=True)] for rows in kept]


DEACTIVATE = "`tenancy.people.accounts.deactivate`"
LIFECYCLE = "`tenancy.lifecycle`"


@pytest.mark.parametrize(
    ("delete", "instead"),
    [
        (lambda tenant: tenant.delete(), LIFECYCLE),
        (lambda tenant: tenant.delete(force_drop=True), LIFECYCLE),
        (lambda tenant: tenant._drop_schema(True), LIFECYCLE),
        (lambda tenant: tenant.delete_tenant(), LIFECYCLE),
        (lambda tenant: Tenant.objects.filter(pk=tenant.pk).delete(), LIFECYCLE),
        (lambda tenant: Tenant.all_objects.all().delete(), LIFECYCLE),
        (lambda tenant: tenant.organization.tenants.all().delete(), LIFECYCLE),
        (lambda tenant: tenant.owner.tenants.all().delete(), LIFECYCLE),
        (lambda tenant: tenant.owner.owned_tenants.all().delete(), LIFECYCLE),
        (lambda tenant: tenant.transfer_ownership(tenant.owner), "`tenancy.lifecycle.transfer`"),
        (lambda tenant: tenant.remove_user(tenant.owner), "`tenancy.people.members.remove_member`"),
        (lambda tenant: tenant.owner.delete(), DEACTIVATE),
        (lambda tenant: tenant.owner.delete(force_drop=True), DEACTIVATE),
        (lambda tenant: User.objects.delete_user(tenant.owner), DEACTIVATE),
        (lambda tenant: User.objects.filter(pk=tenant.owner_id).delete(), DEACTIVATE),
        (lambda tenant: User.objects.all().delete(), DEACTIVATE),
        (lambda tenant: tenant.user_set.all().delete(), DEACTIVATE),
        (lambda tenant: TenantBase.delete(tenant, force_drop=True), "not deleted"),
        (lambda tenant: TenantMixin.delete(tenant, force_drop=True), "not deleted"),
    ],
)
def test_what_the_libraries_would_destroy_is_refused_with_what_to_call(all_kept, delete, instead):
    with pytest.raises(DeleteError, match=instead):
        delete(all_kept)


def test_deleting_a_customer_drops_no_schema(outside):
    with pytest.raises(ProtectedError):
        Organization.objects.all().delete()
    with pytest.raises(ProtectedError):
        outside.organization.delete()


def test_who_goes_around_all_of_it_still_drops_no_schema(outside):
    with transaction.atomic():
        Model.delete(Tenant.objects.get(pk=outside.pk))
        assert schema_exists(outside.schema_name)
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    "model",
    [ContentType, Group, Permission, Session, UserTenantPermissions, TenantEvent, Blueprint],
)
@pytest.mark.parametrize("inside", [True, False])
def test_nothing_else_that_is_deleted_takes_them_along(all_kept, model, inside):
    with all_kept if inside else nullcontext(), suppress(IntegrityError), transaction.atomic():
        execute("SET CONSTRAINTS ALL IMMEDIATE")
        model.objects.all().delete()


@pytest.mark.parametrize(
    "delete",
    [
        lambda tenant: lifecycle.purge(tenant, "test", now=True),
        lambda tenant: lifecycle.purge(lifecycle.delete(tenant, "test"), "test"),
        lambda tenant: lifecycle.abandon(tenant, "test"),
        lambda tenant: members.remove_member(tenant, "admin", by="test"),
        lambda tenant: accounts.deactivate("admin", "test"),
        lambda tenant: accounts.anonymise("admin", "test"),
        lambda tenant: renaming.remove_domain(tenant, "first.localhost", "test"),
    ],
)
def test_our_own_ways_refuse(all_kept, delete):
    with pytest.raises(LifecycleError):
        delete(all_kept)


@pytest.mark.parametrize(
    "command",
    [
        ["flush", "--noinput"],
        ["flush", "--noinput", "--database=default"],
        ["tenant_command", "flush", "--noinput", "--slug=first"],
        ["all_tenants_command", "flush", "--noinput"],
        *(["migrate_schemas", "--shared", app, "zero"] for app in ("tenants", "users")),
        ["migrate_schemas", "--shared", "tenants", "0001"],
        ["migrate_schemas", "--schema=public", "contenttypes", "zero"],
        ["migrate", "tenants", "zero"],
        ["create_public_tenant", "--noinput"],
        ["create_missing_schemas", "--schema=public"],
        ["provision_tenant", "--abandon", "first"],
        ["purge_tenant", "first"],
        ["purge_tenant", "first", "--now"],
        ["purge_tenant", "public", "--now"],
        ["delete_tenant", "public"],
        ["deactivate_user", "admin"],
        ["anonymise_user", "admin"],
        ["remove_member", "first", "admin"],
        ["delete_domain", "first.localhost"],
    ],
)
def test_no_command_takes_them_away(all_kept, command):
    with pytest.raises(CommandError):
        call_command(*command)


@pytest.mark.usefixtures("all_kept")
@pytest.mark.parametrize(
    "command",
    [
        ["clearsessions"],
        ["remove_stale_contenttypes", "--include-stale-apps", "--noinput"],
        ["create_missing_schemas"],
        ["delete_tenant", "first"],
        ["migrate_schemas"],
    ],
)
def test_nor_does_one_that_does_something(command):
    call_command(*command)


@pytest.mark.parametrize("table", ["users_user", "tenants_organization"])
def test_the_database_itself_keeps_who_owns_a_tenant(outside, table):
    with transaction.atomic():
        execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(IntegrityError), transaction.atomic():
            execute(f"DELETE FROM {table}")  # noqa: S608


@pytest.mark.parametrize("schema_name", ["public", "pg_catalog", "pg_toast", "information_schema"])
def test_no_schema_of_all_is_ever_dropped(db, schema_name):
    with pytest.raises(ValueError, match=schema_name):
        drop_schema(schema_name)

    assert schema_exists(schema_name)


def test_saving_makes_no_schema(outside):
    execute(f'ALTER SCHEMA "{outside.schema_name}" RENAME TO elsewhere')
    outside.save()

    assert not schema_exists(outside.schema_name)
    execute(f'ALTER SCHEMA elsewhere RENAME TO "{outside.schema_name}"')
