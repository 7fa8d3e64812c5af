"""Only purging drops a schema, and a failed provisioning the one that it made itself."""

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django_tenants.signals import post_schema_sync
from django_tenants.utils import schema_exists
from tenant_users.tenants.models import DeleteError

from server.tenants.lifecycle import provision_tenant
from server.tenants.models import Organization, Tenant
from server.tenants.schemas import drop_schema

User = get_user_model()


@pytest.fixture
def outside(tenant):
    """The tenant, seen from the public schema; its schema must be there in the end."""
    connection.set_schema_to_public()
    yield tenant
    assert schema_exists(tenant.schema_name)
    assert Tenant.objects.filter(pk=tenant.pk).exists()


@pytest.mark.parametrize(
    "delete",
    [
        lambda tenant: tenant.delete(),
        lambda tenant: tenant.delete(force_drop=True),
        lambda tenant: tenant._drop_schema(True),
        lambda tenant: tenant.delete_tenant(),
        lambda tenant: Tenant.objects.filter(pk=tenant.pk).delete(),
        lambda tenant: Tenant.everything.all().delete(),
        lambda tenant: tenant.organization.tenants.all().delete(),
        lambda tenant: tenant.owner.tenants.all().delete(),
        lambda tenant: tenant.owner.owned_tenants.all().delete(),
        lambda tenant: tenant.owner.delete(),
        lambda tenant: User.objects.filter(pk=tenant.owner_id).delete(),
        lambda tenant: User.objects.all().delete(),
        lambda tenant: tenant.user_set.all().delete(),
    ],
)
def test_deleting_tenants_or_people_drops_no_schema(outside, delete):
    with pytest.raises(DeleteError, match="not deleted"):
        delete(outside)


def test_deleting_a_customer_drops_no_schema(outside):
    with pytest.raises(ProtectedError):
        Organization.objects.all().delete()
    with pytest.raises(ProtectedError):
        outside.organization.delete()


@pytest.mark.parametrize("table", ["users_user", "tenants_organization"])
def test_the_database_itself_keeps_who_owns_a_tenant(outside, table):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(IntegrityError), transaction.atomic():
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608


@pytest.mark.parametrize("schema_name", ["public", "pg_catalog", "pg_toast", "information_schema"])
def test_no_schema_of_all_is_ever_dropped(db, schema_name):
    with pytest.raises(ValueError, match=schema_name):
        drop_schema(schema_name)

    assert schema_exists(schema_name)


def test_saving_makes_no_schema(outside):
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER SCHEMA "{outside.schema_name}" RENAME TO elsewhere')
    outside.save()

    assert not schema_exists(outside.schema_name)
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER SCHEMA elsewhere RENAME TO "{outside.schema_name}"')


def test_a_receiver_that_fails_drops_no_schema(db):
    def receiver(**kwargs):
        raise RuntimeError("A mail server is away.")

    post_schema_sync.connect(receiver)
    try:
        provision_tenant("Name", "acme", "org", "admin")
    finally:
        post_schema_sync.disconnect(receiver)

    assert schema_exists(Tenant.objects.get(slug="acme").schema_name)


def test_a_new_tenant_never_finds_the_schema_of_an_earlier_one(db):
    provision_tenant("Name", "acme", "org", "admin")
    earlier = Tenant.objects.get(slug="acme")
    Tenant._base_manager.filter(pk=earlier.pk).delete()

    provision_tenant("Name", "acme", "org", "admin")

    assert Tenant.objects.get(slug="acme").schema_name != earlier.schema_name
    assert schema_exists(earlier.schema_name)
