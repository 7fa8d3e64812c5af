"""I11: uploads of shared models are in the public folder, for those who may see the row."""

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django.db.migrations.state import ProjectState
from django.test import Client
from tenancy.isolation.shared_files import may_see
from tenancy.isolation.storage import SharedStorage

from engine.market.models import Contract, Plan


@pytest.fixture(autouse=True)
def root(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT


def body(response):
    return b"".join(response) if response.streaming else response.content


@pytest.fixture
def plan(tenant):
    plan = Plan(name="team")
    plan.icon.save("gold.png", ContentFile(b"gold"))
    return plan


def test_a_plain_field_of_a_shared_model_uses_the_public_folder(plan, root, other_tenant):
    """I11: whatever the tenant that it is written and read in."""
    assert (root / "public/icons/gold.png").read_bytes() == b"gold"
    with other_tenant:
        again = Plan.objects.get()
        assert again.icon.read() == b"gold"
        again.icon.delete()
    assert not (root / "public/icons/gold.png").exists()
    assert connection.schema_name == "first_" + connection.schema_name[6:]


def test_its_address_is_good_at_every_host(plan, other_tenant, tenant_client, public_client):
    url = plan.icon.url
    assert url == "/media/_shared/icons/gold.png"
    with other_tenant:
        assert plan.icon.url == url
    for client in (tenant_client, public_client):
        assert body(client.get(url)) == b"gold"
        assert client.get("/media/_shared/icons/no.png").status_code == 404
    assert Client(SERVER_NAME="first.localhost").get(url).url == f"/sign-in/?next={url}"


def test_a_shared_file_is_there_for_its_row_only(public, tenant_client, public_client):
    """I11: what else is in the public folder is not a tenant's to see."""
    with public:
        default_storage.save("accounts.txt", ContentFile(b"ours"))

    assert tenant_client.get("/media/_shared/accounts.txt").status_code == 404
    for name in ("../first/x", "%2e%2e/x", "%00", "accounts.txt%00", "", "a" * 300):
        assert tenant_client.get(f"/media/_shared/{name}").status_code == 404
    assert public_client.get("/media/accounts.txt").status_code == 200


def test_a_row_of_a_tenant_is_that_tenants(tenant, other_tenant, tenant_client, other_client):
    """I11: a foreign key to a tenant, an organization or a person says whose a row is."""
    contract = Contract(tenant=tenant)
    contract.text.save("1.txt", ContentFile(b"secret"))

    assert body(tenant_client.get(contract.text.url)) == b"secret"
    assert other_client.get(contract.text.url).status_code == 404


def test_at_the_main_website_membership_decides_or_the_right_to_view(
    public, tenant, public_client, ada
):
    contract = Contract(tenant=tenant)
    contract.text.save("1.txt", ContentFile(b"secret"))
    url = contract.text.url
    tenant.deactivate()
    client = Client(SERVER_NAME="localhost")
    client.force_login(ada)

    for address in (url, "/media/contracts/1.txt"):
        assert client.get(address).status_code == 404
        assert body(public_client.get(address)) == b"secret"
    assert not may_see(ada, public, contract)
    ada.tenants.add(tenant)
    assert may_see(ada, public, contract)


def test_a_model_says_itself_who_may_see_its_files(plan, tenant, monkeypatch):
    """I11: for example everybody, on a page for visitors."""
    monkeypatch.setattr(Plan, "shows_files_to", lambda *args: True, raising=False)

    visitor = Client(SERVER_NAME="other.localhost")
    assert body(visitor.get(plan.icon.url)) == b"gold"


@pytest.mark.usefixtures("db")
def test_migrations_know_nothing_of_it():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    field = Plan._meta.get_field("icon")
    assert isinstance(field.storage, SharedStorage)
    assert "storage" not in field.deconstruct()[3]
    assert isinstance(field.clone().storage, type(default_storage))


@pytest.mark.usefixtures("db")
def test_a_model_of_a_migration_has_it_too():
    models = ProjectState.from_apps(Plan._meta.apps).apps
    assert isinstance(
        models.get_model("market", "Plan")._meta.get_field("icon").storage, SharedStorage
    )


def test_a_purge_leaves_it(plan, root, tenant):
    from tenancy.schemas.uploads import remove_files

    remove_files(tenant.schema_name)
    assert (root / "public/icons/gold.png").exists()
