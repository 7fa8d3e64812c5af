"""What each host answers, to whom."""

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy.isolation.admin_site import TenantSite
from tenancy.people.accounts import create_user
from tenancy.testing import TenantClient


def visitor(host):
    return Client(SERVER_NAME=host)


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "localhost:8000"])
def test_the_public_host_shows_the_main_site(host):
    page = visitor("localhost").get("/", headers={"host": host})

    assert page.status_code == 200
    assert "Main Site" in page.text


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("host", ["www.localhost", "WWW.localhost:80"])
@pytest.mark.parametrize("path", ["/", "/account/?a=b", "/no-such-page/"])
@pytest.mark.parametrize("method", ["get", "head", "post"])
def test_accounts_are_of_one_host(host, path, method):
    answer = getattr(visitor("localhost"), method)(path, headers={"host": host})

    assert answer.status_code == 308
    assert answer.url.replace(":80", "") == f"http://localhost{path}"


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("debug", [True, False])
def test_what_to_do_next_is_said_in_development_only(settings, debug):
    settings.DEBUG = debug
    page = visitor("localhost").get("/")

    assert ("provision_tenant EvilCorp evilcorp org admin" in page.text) == debug


def test_a_tenant_that_is_being_made_is_not_served(tenant):
    Tenant.objects.filter(pk=tenant.pk).update(status=Tenant.Status.PROVISIONING)

    assert visitor("first.localhost").get("/").status_code == 404
    client = TenantClient(Tenant.objects.get(slug="public"), tenant.owner)
    assert "First Tenant" not in client.get("/").text


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("host", ["first.localhost", "FIRST.localhost.", "www.first.localhost:80"])
def test_a_tenants_host_says_which_tenant_it_is(host):
    page = visitor("localhost").get("/", headers={"host": host})

    assert page.status_code == 200
    assert "Welcome to First Tenant" in page.text
    assert "First Organization" in page.text


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    "host",
    [
        *("nobody.localhost", "x.first.localhost", "example.com", "127.0.0.1", "[::1]:8000", ""),
        *("a b", "'", "..", "first_localhost", "first.localhost:x", "é.localhost", "a" * 300),
    ],
)
def test_an_unknown_host_is_told_so(host):
    page = visitor("localhost").get("/admin/", headers={"host": host})

    assert page.status_code == 404
    assert "There is no site at this address" in page.text


@pytest.mark.usefixtures("db")
def test_the_page_of_an_unknown_host_leads_to_the_main_site():
    """R20: the header's port is not in the link."""
    page = visitor("localhost").get("/", headers={"host": "nobody.localhost:8000"})

    assert "nobody.localhost:8000" in page.text
    assert 'href="http://localhost/"' in page.text


@pytest.mark.usefixtures("db")
def test_the_main_website_alone_serves_no_tenant(settings):
    settings.SERVE_TENANTS = False

    assert visitor("localhost").get("/").status_code == 200
    assert visitor("first.localhost").get("/").status_code == 404


@pytest.mark.usefixtures("db")
def test_the_tenants_alone_leave_the_public_host_to_the_main_website(settings):
    settings.SERVE_PUBLIC = False

    assert visitor("localhost").get("/").status_code == 404
    assert visitor("first.localhost").get("/").status_code == 200


def test_a_person_who_is_signed_in_is_not_asked_again(tenant_client):
    assert tenant_client.get("/sign-in/?next=/notes/").url == "/notes/"
    assert tenant_client.get("/sign-in/?next=/sign-in/", follow=True).status_code == 200


def test_people_find_their_workspaces_on_the_main_site(public_client):
    page = public_client.get("/", headers={"host": "localhost:8000"}).text

    assert 'href="http://first.localhost/sign-in/"><strong>First Tenant</strong>' in page
    assert "Other Tenant" not in page


def test_the_public_admin_shows_tenants_domains_organizations_and_users(public_client):
    page = public_client.get("/admin/").text

    for model in ("tenants/tenant", "tenants/domain", "tenants/organization", "users/user"):
        assert f"/admin/{model}/" in page
        assert public_client.get(f"/admin/{model}/").status_code == 200
    assert "/admin/notes/" not in page


def test_a_tenants_admin_shows_what_is_the_tenants(tenant_client):
    page = tenant_client.get("/admin/").text

    assert "First Tenant admin" in page
    assert "/admin/notes/note/" in page
    assert tenant_client.get("/admin/notes/note/add/").status_code == 200
    for model in ("tenants/tenant", "tenants/domain", "tenants/organization", "users/user"):
        assert f"/admin/{model}/" not in page
        assert tenant_client.get(f"/admin/{model}/").status_code == 404


def test_a_note_that_is_written_in_the_admin_is_its_writers(tenant_client, tenant):
    tenant_client.post("/admin/notes/note/add/", {"text": "Written in the admin"})

    assert Note.objects.get().author == tenant.owner


@pytest.fixture
def asks(tenant, other_tenant, rf):
    """A request of a tenant of which only its owner is a member, while there are other people."""
    request = rf.get("/")
    request.tenant, request.user = tenant, tenant.owner
    return request


def admin_of(model, **attributes):
    """The model's admin in a tenant's site, with the attributes, which it inherits."""
    site = TenantSite()
    base = type("Base", (admin.ModelAdmin,), attributes)
    site.register(model, type("Own", (base,), {}))
    return site.get_model_admin(model)


def test_a_tenants_admin_offers_nobody_of_another_tenant(asks):
    class Inline(admin.TabularInline):
        model = Note

    assert isinstance(admin.site, TenantSite)
    user = admin_of(get_user_model(), inlines=[Inline])
    forms = [admin_of(Note).get_form(asks)]
    forms += [formset.form for formset, _ in user.get_formsets_with_inlines(asks)]

    assert len(forms) == 2
    for form in forms:
        assert [*form.base_fields["author"].queryset] == [asks.tenant.owner]


def test_a_tenants_admin_shows_nobody_of_another_tenant(asks):
    assert [*admin_of(get_user_model()).get_queryset(asks)] == [asks.tenant.owner]


def test_a_tenants_admin_filters_by_nobody_of_another_tenant(asks):
    ada = create_user("ada", "ada@example.com")
    for author in (ada, asks.tenant.owner):
        Note.objects.create(text="Milk", author=author)
    note = admin_of(Note, list_filter=["author"])
    [found], *_ = note.get_changelist_instance(asks).get_filters(asks)

    assert found.lookup_choices == [(ada.pk, "ada"), (asks.tenant.owner_id, "admin")]


def test_a_tenants_admin_tells_no_name_by_its_id(asks, other_tenant):
    form = admin_of(Note, raw_id_fields=["author"]).get_form(asks)

    page = str(form(initial={"author": other_tenant.owner_id}))
    assert f'<option value="{asks.tenant.owner_id}">admin</option>' in page
    assert f'value="{other_tenant.owner_id}"' not in page


def test_the_public_admin_changes_nothing_but_names_of_a_tenant(public_client, tenant):
    tenant.deactivate()
    before = Tenant.objects.filter(pk=tenant.pk).values()[0]

    public_client.post(
        f"/admin/tenants/tenant/{tenant.pk}/change/",
        {"name": "New Name", "organization": tenant.organization_id, "slug": "x", "owner": 2}
        | {"status": "provisioning", "schema_name": "x_00000000", "plan": tenant.plan},
    )

    after = Tenant.objects.filter(pk=tenant.pk).values()[0]
    assert after == before | {"name": "New Name", "modified": after["modified"]}


def test_the_public_sites_domain_cannot_be_given_away(public_client, public, tenant):
    tenant.deactivate()
    main = public.get_primary_domain()

    public_client.post(
        f"/admin/tenants/domain/{main.pk}/change/", {"domain": main.domain, "tenant": tenant.pk}
    )
    public_client.post(
        "/admin/tenants/domain/add/",
        {"domain": "Shop.example.com", "tenant": tenant.pk, "is_primary": "on"},
    )

    assert public.get_primary_domain() == main
    added = tenant.domains.get(domain="shop.example.com")
    assert not added.is_primary
