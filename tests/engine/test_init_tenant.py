import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from server.init_tenant import create_public_tenant
from server.tenants.models import Domain, Tenant

User = get_user_model()


@pytest.fixture
def nothing_yet(db):
    """The shared schema as it is before the public tenant exists."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE tenants_tenant, users_user CASCADE")


@pytest.mark.usefixtures("nothing_yet")
def test_the_public_tenant_its_domain_and_its_owner_are_made():
    tenant = create_public_tenant("localhost", "c0d3", "test123@")

    owner = User.objects.get(username="c0d3")
    assert owner.check_password("test123@")
    assert EmailAddress.objects.filter(user=owner, verified=True, primary=True).exists()
    assert (tenant.schema_name, tenant.name, tenant.owner) == ("public", "Main Site", owner)
    assert [str(domain) for domain in tenant.domains.all()] == ["localhost"]
    assert owner.email == "c0d3@localhost"
    assert owner.is_superuser
    assert owner.is_staff


@pytest.mark.usefixtures("nothing_yet")
def test_a_second_call_changes_nothing():
    create_public_tenant("localhost", "c0d3", "test123@")
    before = [list(model.objects.values()) for model in (User, Tenant, Domain)]

    create_public_tenant("localhost", "c0d3", "another password")

    assert [list(model.objects.values()) for model in (User, Tenant, Domain)] == before
    assert User.objects.get().check_password("test123@")


def test_the_name_in_the_settings_is_taken_over(public, settings, client):
    """So that the product's name is in one place."""
    settings.PROJECT_NAME = "Another Name"
    create_public_tenant("localhost", "c0d3", "test123@")

    assert "Another Name" in client.get("/", headers={"host": "localhost"}).text


def test_without_a_name_in_the_settings_the_name_stays(public, settings):
    """The default of PROJECT_NAME is the domain."""
    settings.PROJECT_NAME = "example.com"
    assert create_public_tenant("example.com", "c0d3", "test123@").name == "Main Site"


def test_a_name_that_was_the_domain_follows_the_domain(public, settings):
    Tenant.objects.filter(pk=public.pk).update(name="localhost")
    settings.PROJECT_NAME = "example.com"
    assert create_public_tenant("example.com", "c0d3", "test123@").name == "example.com"


def test_a_new_domain_is_added_and_becomes_the_main_one(public):
    create_public_tenant("example.com", "somebody", "else")

    assert public.get_primary_domain().domain == "example.com"
    assert public.domains.count() == 2
    assert not User.objects.filter(username="somebody").exists()


@pytest.mark.usefixtures("nothing_yet")
@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (("localhost", "Ada Lovelace", "password"), "user name"),
        (("localhost", "ada", ""), "ADMIN_PASSWORD"),
        (("https://localhost", "ada", "password", "ada@localhost"), "host name"),
        (("localhost", "ada", "password", "no e-mail"), "email"),
    ],
)
def test_an_impossible_answer_is_refused_and_leaves_nothing(answers, reason):
    with pytest.raises(ValidationError, match=reason):
        create_public_tenant(*answers)

    assert not Tenant.objects.exists()
    assert not User.objects.exists()


@pytest.mark.usefixtures("nothing_yet")
def test_the_command_says_what_is_missing(settings):
    settings.ADMIN_PASSWORD = ""

    with pytest.raises(CommandError, match="ADMIN_PASSWORD"):
        call_command("init_tenant", verbosity=0)


@pytest.mark.usefixtures("nothing_yet")
def test_the_command_goes_by_the_settings(settings, capsys):
    settings.ADMIN_PASSWORD = "secret"

    call_command("init_tenant", verbosity=0)

    owner = User.objects.get(username="admin")
    assert owner.check_password("secret")
    assert owner.is_superuser
    assert capsys.readouterr().out == "The public site is localhost; admin administers it.\n"
