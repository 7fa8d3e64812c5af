"""A tenant whose schema is missing gets one, but nobody's loss is covered up."""

import pytest
from django.core.management import CommandError
from django.db import connection
from django_tenants.utils import schema_exists
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy.health import doctor
from tenancy.locks import advisory_lock
from tenancy.models import TenantEvent
from tenancy.testing import TenantClient
from tenant_users.permissions.models import UserTenantPermissions

Status = Tenant.Status


@pytest.fixture
def make(run):
    return lambda *arguments: run("create_missing_schemas", *arguments).splitlines()


def lose(slug, status):
    """The schema; a tenant that is being made has no members either."""
    tenant = Tenant.objects.get(slug=slug)
    with connection.cursor() as cursor:
        cursor.execute(f'DROP SCHEMA "{tenant.schema_name}" CASCADE')
    if status == Status.PROVISIONING:
        tenant.user_set.clear()
    Tenant.objects.filter(pk=tenant.pk).update(status=status)
    return tenant


@pytest.mark.usefixtures("db")
def test_where_none_is_missing_nothing_happens(make):
    assert make() == ["Done"]


@pytest.mark.usefixtures("db")
def test_a_tenant_that_was_never_finished_is_finished(make):
    tenant = lose("first", Status.PROVISIONING)

    assert make("--by", "ada") == [f"{tenant.schema_name} is created.", "Done"]
    assert Tenant.objects.get(slug="first").status == Status.ACTIVE
    assert [*doctor.examine()] == []
    assert TenantEvent.objects.first().by == "ada"


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("status", [Status.ACTIVE, Status.SUSPENDED, Status.DELETED])
def test_a_lost_schema_is_made_only_for_who_says_so(make, capsys, status):
    tenant, half = lose("first", status), lose("other", Status.PROVISIONING)

    with pytest.raises(CommandError) as refusal:
        make()
    assert str(refusal.value) == (
        f"1 of 2 tenants failed.\n  first: it is {status}, and its schema is lost: restore a"
        f" backup, or let --schema {tenant.schema_name} create an empty one"
    )
    assert not schema_exists(tenant.schema_name)
    # The failure stopped no other.
    assert capsys.readouterr().out == f"{half.schema_name} is created.\n"

    assert make("--schema", tenant.schema_name) == [f"{tenant.schema_name} is created.", "Done"]
    assert [*doctor.examine()] == []
    assert Tenant.objects.get(slug="first").status == status
    change = TenantEvent.objects.first()
    assert (change.action, change.before, change.after) == ("create schema", status, status)


def test_who_was_a_member_is_one_again(make, tenant, other_tenant):
    tenant.add_user(other_tenant.owner)
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    lose("first", Status.ACTIVE)

    make("--schema", tenant.schema_name)

    with tenant:
        assert not Note.objects.exists()
        rights = UserTenantPermissions.objects.order_by("profile__username")
        assert [*rights.values_list("profile__username", "is_staff", "is_superuser")] == [
            ("admin", True, True),
            ("other", False, False),
        ]
    assert TenantClient(tenant, tenant.owner).get("/notes/").status_code == 200


@pytest.mark.usefixtures("db")
def test_one_that_cannot_be_finished_is_named(make):
    tenant = lose("first", Status.PROVISIONING)
    tenant.user_set.add(tenant.owner)

    with pytest.raises(CommandError, match="  first: Can't provision “first”: it has"):
        make()


@pytest.mark.usefixtures("db")
def test_one_that_is_being_made_right_now_is_left_alone(make):
    lose("first", Status.PROVISIONING)
    with advisory_lock("provision first"):
        assert make() == ["“first” is being made right now.", "Done"]


@pytest.mark.usefixtures("db")
def test_one_that_is_being_purged_gets_none(make):
    tenant = lose("first", Status.PURGING)
    assert make() == ["Done"]
    with pytest.raises(CommandError, match="isn't missing"):
        make("--schema", tenant.schema_name)
