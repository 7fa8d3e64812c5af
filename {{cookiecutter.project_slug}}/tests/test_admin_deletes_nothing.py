"""Nothing that a click in the public admin does can take a tenant's data away."""

import pytest
from django.contrib.auth import get_user_model
from django_tenants.utils import schema_exists

from server.tenants.models import Domain, Organization


@pytest.mark.parametrize("kind", ["tenants/tenant", "users/user"])
def test_there_is_no_way_to_delete(public_client, tenant, kind):
    row = tenant if kind == "tenants/tenant" else tenant.owner
    tenant.deactivate()

    assert public_client.post(f"/admin/{kind}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in public_client.get(f"/admin/{kind}/").text
    public_client.post(
        f"/admin/{kind}/",
        {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"},
    )

    assert type(row).objects.filter(pk=row.pk).exists()
    assert schema_exists(tenant.schema_name)


def test_an_organization_with_tenants_stays(public_client, tenant):
    tenant.deactivate()
    for path, answer in (
        (f"/admin/tenants/organization/{tenant.organization_id}/delete/", {"post": "yes"}),
        (
            "/admin/tenants/organization/",
            {
                "action": "delete_selected",
                "_selected_action": [tenant.organization_id],
                "post": "yes",
            },
        ),
    ):
        public_client.post(path, answer)

        assert Organization.objects.filter(pk=tenant.organization_id).exists()


def test_a_tenants_main_domain_stays(public_client, tenant):
    tenant.deactivate()
    main = tenant.get_primary_domain()
    extra = Domain.objects.create(tenant=tenant, domain="first.example.com", is_primary=False)

    for domain in (main, extra):
        public_client.post(f"/admin/tenants/domain/{domain.pk}/delete/", {"post": "yes"})

    assert [*tenant.domains.all()] == [main]


def test_a_user_is_made_and_given_rights_in_the_public_admin(public_client):
    public_client.post(
        "/admin/users/user/add/",
        {
            "username": "Ada",
            "email": "Ada@example.com",
            "usable_password": "true",
            "password1": "analytical",
            "password2": "analytical",
        },
    )

    ada = get_user_model().objects.get(username="ada")
    assert ada.check_password("analytical")
    assert ada.has_tenant_permissions()
    assert not ada.is_staff
    assert public_client.get(f"/admin/users/user/{ada.pk}/change/").status_code == 200
