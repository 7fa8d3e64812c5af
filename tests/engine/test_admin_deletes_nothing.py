"""Nothing that a click in the public admin does can take a tenant's data away."""

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from django.urls import URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from django_tenants.utils import schema_exists
from server.tenants.models import Domain, Organization

from engine.copies import everything


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


# Whatever is posted to whatever page

KEYS = ["1", "2", "3"]
ANSWERS = {"post": "yes", "confirmed": "yes"}


def routes(patterns, before="/") -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern.pattern, RoutePattern):  # the others lead to lists, or nowhere
            route = f"{before}{pattern.pattern}"
            if isinstance(pattern, URLResolver):
                yield from routes(pattern.url_patterns, route)
            else:
                yield route


def kept():
    """Schemas, tenants, customers, people and their memberships."""
    return everything(), [
        *get_user_model().objects.order_by("pk", "tenants").values("pk", "tenants")
    ]


@pytest.mark.parametrize(
    ("urlconf", "client", "among_them"),
    [
        ("server.urls", "tenant_client", "/admin/auth/group/1/delete/"),
        ("server.urls_public", "public_client", "/admin/tenants/domain/1/delete/"),
    ],
)
def test_no_page_takes_a_tenant_or_a_person_away(request, public, urlconf, client, among_them):
    client = request.getfixturevalue(client)
    client.raise_request_exception = False
    before = kept()
    found = [*routes(get_resolver(urlconf).url_patterns)]

    addresses = {re.sub("<[^>]*>", key, route) for route in found for key in KEYS}
    assert among_them in addresses
    for address in addresses - {"/sign-out/", "/admin/logout/"}:
        client.post(address, ANSWERS)
        assert kept() == before, address


@pytest.mark.parametrize(
    ("urlconf", "client", "among_them"),
    [
        ("server.urls", "tenant_client", "delete_selected"),
        ("server.urls_public", "public_client", "purge"),
    ],
)
def test_nor_does_an_action(request, public, urlconf, client, among_them):
    """A tenant that is deleted is purged after its time of grace, or where `now` is chosen."""
    client = request.getfixturevalue(client)
    before, seen = kept(), set()
    found = [*routes(get_resolver(urlconf).url_patterns)]
    for address in [route.removesuffix("add/") for route in found if route.endswith("/add/")]:
        for name in re.findall(r'<option value="(\w+)"', client.get(address).text):
            client.post(address, ANSWERS | {"action": name, "_selected_action": KEYS})
            assert kept() == before, (address, name)
            seen.add(name)
    assert among_them in seen
