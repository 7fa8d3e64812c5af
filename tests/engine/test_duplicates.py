"""R22: which value is taken, the constraint says that PostgreSQL has checked."""

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.duplicates import duplicated
from tenancy.exceptions import InvalidField, InvalidUser, SlugTaken
from tenancy.lifecycle.reservation import refusing_duplicates
from tenancy.models import Limit
from tenancy.people import accounts

INDEXES = {  # an owner's, beside the engine's
    "tenants_tenant_slug_of_old": "tenants_tenant (origin) WHERE slug IN ('first', 'new')",
    "own_name": "tenants_tenant (name, organization_id)",
    "tenants_domain_domain_pair": "tenants_domain (tenant_id, redirects)",
    "lowered": "tenants_tenant (lower(name))",
}


def index(name):
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE UNIQUE INDEX {name} ON {INDEXES[name]}")


def copy_of(tenant, **values):
    row = Tenant.objects.get(pk=tenant.pk)
    row.pk, row._state.adding = None, True
    values = {"slug": "new", "schema_name": "new_00000000", "name": "New"} | values
    vars(row).update(values)
    return row


@pytest.fixture
def first(tenant):
    tenant.deactivate()
    return tenant


@pytest.mark.parametrize(
    ("name", "values", "error", "says"),
    [
        (None, {"slug": "first"}, SlugTaken, "taken"),
        ("tenants_tenant_slug_of_old", {}, InvalidField, "origin: another tenant"),
        ("own_name", {"name": "First Tenant"}, InvalidField, "name, organization: another tenant"),
        ("lowered", {"name": "first tenant"}, InvalidField, "lowered: another tenant"),
    ],
)
def test_the_constraint_tells_which_value_is_taken(first, name, values, error, says):
    """R22: not the beginning of its name, which an owner chooses."""
    if name:
        index(name)
    with pytest.raises(error, match=says), refusing_duplicates(SlugTaken("taken")):
        copy_of(first, **values).save()


def test_a_domains_host_is_not_all_that_a_domain_has(first):
    index("tenants_domain_domain_pair")
    with pytest.raises(InvalidField, match="tenant, redirects: another domain"):
        lifecycle.add_domain(first, "x.example.com", "ada")


def test_another_error_stays_what_it_is(first):
    with pytest.raises(IntegrityError, match="check"), refusing_duplicates(SlugTaken("taken")):
        copy_of(first, slug="Not a slug").save()


@pytest.mark.usefixtures("db")
def test_two_calls_at_once_learn_which_value_the_other_took(monkeypatch):
    """R22: create_user finds nobody, and the constraint does."""
    monkeypatch.setattr(get_user_model(), "validate_unique", lambda self: None)
    with pytest.raises(InvalidUser, match="Another user has this user name"):
        accounts.create_user("admin", "new@example.com")
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE UNIQUE INDEX one_zone ON users_user (time_zone) WHERE username ~ 'new'"
        )
    accounts.create_user("new", "new@example.com")
    with pytest.raises(InvalidUser, match="Another user has this time zone"):
        accounts.create_user("newer", "newer@example.com")


@pytest.mark.usefixtures("db")
def test_a_row_that_several_names_lead_to_is_found():
    Limit.objects.create(key="twice", count=1, expires=timezone.now())
    with pytest.raises(IntegrityError) as error, transaction.atomic():
        Limit.objects.create(key="twice", count=1, expires=timezone.now())
    assert duplicated(error.value) == (Limit, ["key"])
    assert duplicated(IntegrityError()) is None


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    "make",
    [
        lambda people: people.create_superuser("new@example.com", "clear text"),
        lambda people: people.create_superuser("clear text", "new@example.com"),
        lambda people: people.create_user("clear text", "new@example.com"),
        lambda people: people.create_user("new@example.com", "clear text"),
        lambda people: people.create_superuser("new", "clear text", "new@example.com"),
    ],
)
def test_no_order_of_arguments_shows_a_password(make):
    """R24: PostgreSQL quotes the row that it refuses."""
    with pytest.raises(ValidationError) as error:
        make(get_user_model().objects)
    assert "clear" not in str(error.value)


@pytest.mark.usefixtures("db")
def test_a_superuser_is_made_in_djangos_order():
    ada = get_user_model().objects.create_superuser("ada", "Ada@example.com", "analytical")
    assert (ada.username, ada.email, ada.check_password("analytical")) == (
        *("ada", "ada@example.com"),
        True,
    )
    assert ada.is_superuser
