"""Signing in, and what a role allows."""

import pytest
from django.urls import reverse

from tenancy.people.members import add_member, list_members
from tenancy.testing import TenantClient


@pytest.fixture
def sign_in_page(client, public):
    """Fill in the main website's sign-in page."""
    url = reverse("sign-in", urlconf="server.urls_public")

    def sign_in_page(username, password):
        data = {"username": username, "password": password}
        return client.post(url, data, headers={"host": "localhost"})

    return sign_in_page


def test_a_person_signs_in_with_user_name_or_email(sign_in_page):
    assert sign_in_page("admin", "password").url == "/"
    assert sign_in_page("admin@localhost", "password").url == "/"


def test_a_wrong_password_is_refused(sign_in_page):
    response = sign_in_page("admin", "guess")

    assert response.context["form"].errors


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("member", 302)])
def test_a_role_decides_who_opens_the_admin(tenant, ada, role, status):
    add_member(tenant, "ada", role, by="test")

    assert TenantClient(tenant, ada).get("/admin/").status_code == status


def test_members_have_roles(tenant, ada):
    add_member(tenant, "ada", "admin", by="test")

    roles = {member.user.username: member.role for member in list_members(tenant)}
    assert roles == {"ada": "admin", "admin": "owner"}


def test_the_owner_adds_a_member_by_email(tenant, tenant_client, ada, mailoutbox):
    data = {"email": ada.email, "role": "member"}
    tenant_client.post("/admin/tenancy/member/add/", data)

    assert ada in tenant.user_set.all()
