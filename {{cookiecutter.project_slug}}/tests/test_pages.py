"""The home pages of the main website and of a tenant, and the people who see them."""

from tenancy.people.members import add_member, remove_member
from tenancy.testing import TenantClient


def test_the_main_website_has_a_home_page(client, public):
    response = client.get("/", headers={"host": "localhost"})

    assert response.status_code == 200
    assert public.name in response.text
    assert "Sign in" in response.text


def test_the_main_website_lists_a_persons_workspaces(public_client, tenant, other_tenant):
    page = public_client.get("/").text

    assert tenant.name in page
    assert other_tenant.name not in page


def test_a_tenant_has_a_home_page(client, tenant):
    page = client.get("/", headers={"host": "first.localhost"}).text

    assert f"Welcome to {tenant.name}" in page
    assert "Sign in" in page


def test_a_member_sees_their_name_there(tenant_client, tenant):
    assert f"Sign out {tenant.owner}" in tenant_client.get("/").text


def test_an_unknown_host_leads_nowhere(client, db):
    assert client.get("/", headers={"host": "nobody.localhost"}).status_code == 404


def test_a_stranger_is_refused(tenant, ada):
    response = TenantClient(tenant, ada).get("/")

    assert response.status_code == 403
    assert tenant.name in response.text


def test_a_person_gets_in_until_they_are_removed(tenant, ada):
    add_member(tenant, "ada", by="test")
    client = TenantClient(tenant, ada)
    assert client.get("/").status_code == 200

    remove_member(tenant, "ada", by="test")
    assert "Sign in" in client.get("/").text
