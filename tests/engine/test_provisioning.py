import pytest
from django.db import IntegrityError, OperationalError, ProgrammingError, connection, transaction
from django_tenants.signals import post_schema_sync, schema_migrated
from django_tenants.utils import schema_exists
from server.tenants.models import Organization, Tenant
from tenancy.exceptions import InvalidField, InvalidName, UnknownUser
from tenancy.lifecycle import provision_tenant, provisioning, reservation
from tenancy.schemas import blueprint
from tenancy.schemas.ddl import create_schema, drop_schema

from engine.copies import everything
from engine.signals import connected


@pytest.fixture
def committed(committed_db):
    """Nothing is rolled back, and nothing is left behind."""
    before = everything()
    yield
    assert everything() == before


@pytest.mark.usefixtures("db")
def test_a_tenant_is_born():
    assert provision_tenant("EvilCorp", "evilcorp", "org", "admin") == "evilcorp.localhost"

    tenant = Tenant.objects.get(domains__domain="evilcorp.localhost")
    assert (tenant.name, tenant.organization.name) == ("EvilCorp", "org")
    assert tenant.status == Tenant.Status.ACTIVE
    assert schema_exists(tenant.schema_name)
    with tenant:
        assert tenant.owner.username == "admin"
        assert tenant.owner.is_superuser
        assert tenant.owner.is_staff


@pytest.mark.usefixtures("db")
def test_the_organization_is_found_by_its_name_without_blanks():
    provision_tenant(" One ", "one", " First Organization ", "admin@localhost")

    assert Tenant.objects.get(slug="one").name == "One"
    assert Organization.objects.get(name="First Organization").tenants.count() == 2


@pytest.mark.usefixtures("db")
def test_the_caller_stays_in_their_tenant(tenant):
    provision_tenant("One", "one", "org", "admin")

    assert connection.tenant == tenant


def test_another_unique_violation_is_not_reported_as_a_taken_slug(outside, monkeypatch):
    """R22: the constraint decides."""
    slug, digits = outside.schema_name.split("_")
    Tenant.objects.filter(pk=outside.pk).update(slug="renamed")
    monkeypatch.setattr(reservation.secrets, "token_hex", lambda length: digits)

    with pytest.raises(InvalidField, match="schema_name: another tenant has this value"):
        provision_tenant("Name", slug, "org", "admin")


def test_a_user_who_was_deactivated_is_refused(other_tenant):
    other_tenant.owner.is_active = False
    other_tenant.owner.save()

    with pytest.raises(UnknownUser):
        provision_tenant("Name", "acme", "org", "other")


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\0b"])
@pytest.mark.parametrize("what", ["tenant", "organization"])
def test_an_impossible_name_is_refused(name, what):
    names = {"tenant": "Name", "organization": "org"} | {what: name}

    with pytest.raises(InvalidName, match=what):
        provision_tenant(names["tenant"], "acme", names["organization"], "admin")


@pytest.mark.usefixtures("committed")
def test_who_hears_of_the_schema_hears_before_the_tenant_is_active():
    seen = []

    def receiver(schema_name, **kwargs):
        seen.append(Tenant.all_objects.get(schema_name=schema_name).status)
        raise RuntimeError("A mail server is away.")

    with connected(receiver, schema_migrated), pytest.raises(RuntimeError):
        provision_tenant("Name", "acme", "org", "admin")

    assert seen == [Tenant.Status.PROVISIONING]


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize(
    "step",
    [(reservation, "find_user"), (blueprint, "send_schema_signals"), (provisioning, "activate")],
)
def test_a_connection_that_is_killed_leaves_nothing(monkeypatch, step):
    def die(*args, **kwargs):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(*step, die)

    with pytest.raises(OperationalError):
        provision_tenant("Name", "acme", "org", "admin")


@pytest.mark.usefixtures("committed")
def test_a_schema_that_exists_is_neither_adopted_nor_dropped(monkeypatch):
    monkeypatch.setattr(reservation.secrets, "token_hex", lambda length: "00000000")
    create_schema("acme_00000000")
    try:
        with pytest.raises(ProgrammingError, match="already exists"):
            provision_tenant("Name", "acme", "org", "admin")
    finally:
        drop_schema("acme_00000000")


@pytest.mark.usefixtures("db")
def test_post_schema_sync_comes_once_the_tenant_is_active_and_its_owner_takes_no_rights_along():
    seen = []

    def receiver(tenant, **kwargs):
        status = Tenant.objects.get(pk=tenant.pk).status
        seen.append((status, tenant.owner._state.fields_cache))

    with connected(receiver, post_schema_sync):
        provision_tenant("Name", "acme", "org", "admin")

    assert seen == [(Tenant.Status.ACTIVE, {})]


@pytest.mark.usefixtures("committed")
def test_it_cannot_be_part_of_a_transaction():
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        provision_tenant("Name", "acme", "org", "admin")


def test_no_tenant_is_without_an_organization(tenant):
    tenant.deactivate()
    with pytest.raises(IntegrityError, match="tenants_tenant_organization"), transaction.atomic():
        Tenant.objects.filter(pk=tenant.pk).update(organization=None)
