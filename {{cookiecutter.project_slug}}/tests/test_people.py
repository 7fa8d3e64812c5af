"""Accounts on the main website, and what a role allows in a tenant."""

import re

import pytest

from server.tenants.models import Tenant
from tenancy.people.members import add_member, list_members
from tenancy.testing import TenantClient


@pytest.fixture
def website(client, public):
    """Send a form of the main website's account pages."""

    def website(page, **data):
        return client.post(f"/account/{page}/", data, headers={"host": "localhost"})

    return website


def test_a_person_signs_up_with_a_code(website, client, mailoutbox):
    website("signup", email="grace@example.com", terms="on")
    code = re.search(r"^[A-Z0-9]+-[A-Z0-9]+$", mailoutbox[0].body, re.M)[0]
    website("confirm-email", code=code)

    assert "grace@example.com" in client.get("/account/", headers={"host": "localhost"}).text


def test_a_new_person_makes_a_workspace_and_is_in_it(public, mailoutbox, settings):
    settings.PROVISION_IN_BACKGROUND = False
    browser = TenantClient(public)
    browser.post("/account/signup/", {"email": "grace@example.com", "terms": "on"})
    code = re.search(r"^[A-Z0-9]+-[A-Z0-9]+$", mailoutbox[0].body, re.M)[0]
    assert browser.post("/account/confirm-email/", {"code": code}).url == "/workspaces/new/"
    page = browser.post("/workspaces/new/", {"name": "EvilCorp"}, follow=True)
    assert "http://evilcorp.localhost/sign-in/" in page.text

    workspace = TenantClient(Tenant.objects.get(slug="evilcorp"))
    there = workspace.get("/sign-in/").url.removeprefix("http://localhost")
    back = browser.get(there).url.removeprefix("http://evilcorp.localhost")
    assert "Welcome to EvilCorp" in workspace.get(back, follow=True).text


def test_a_person_signs_in_with_user_name_or_email(website, client):
    for name in ("admin", "admin@localhost"):
        assert website("login", login=name, password="password").url == "/"
        client.post("/sign-out/", headers={"host": "localhost"})


def test_a_wrong_password_is_refused(website):
    assert website("login", login="admin", password="guess").context["form"].errors


def test_one_sign_in_opens_a_workspace(public, tenant):
    website, workspace = TenantClient(public), TenantClient(tenant)
    website.post("/account/login/", {"login": "admin", "password": "password"})

    there = workspace.get("/sign-in/?next=/admin/").url.removeprefix("http://localhost")
    back = website.get(there).url.removeprefix("http://first.localhost")
    assert workspace.get(back).url == "/admin/"
    assert "Sign out admin" in workspace.get("/").text


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("member", 403)])
def test_a_role_decides_who_opens_the_admin(tenant, ada, role, status):
    add_member(tenant, "ada", role, by="test")

    assert TenantClient(tenant, ada).get("/admin/").status_code == status


def test_members_have_roles(tenant, ada):
    add_member(tenant, "ada", "admin", by="test")

    roles = {member.user.username: member.role for member in list_members(tenant)}
    assert roles == {"ada": "admin", "admin": "owner"}


def test_a_person_who_is_invited_gets_an_account_and_is_a_member(
    tenant, tenant_client, client, mailoutbox, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        form = {"emails": "grace@example.com", "role": "member"}
        tenant_client.post("/workspace/people/", form)
    link = re.search(r"/invitations/.+/", mailoutbox[0].body)[0]
    assert "First Tenant" in client.get(link, headers={"host": "localhost"}).text
    client.post(link, {"terms": "on"}, headers={"host": "localhost"})

    assert tenant.user_set.filter(email="grace@example.com").exists()
