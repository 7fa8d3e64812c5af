"""I2: a tenant's admin has the models of the tenant's schema, the public one those that are shared.

`engine.market` is a library's shared app, `engine.orders` one of the tenants. Both register on
Django's site, as libraries do.
"""

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.sites import all_sites
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from server.notes.models import Note
from tenancy.health.checks import check_admin
from tenancy.health.requirements import admin_sites
from tenancy.isolation.admin_site import PublicSite, TenantSite
from tenancy.testing import TenantClient

from engine.market.models import Contract, Discount, Plan
from engine.orders.models import GoldPlan, Order

TENANTS = ["auth/group", "notes/note", "orders/order", "tenancy/member"]
SHARED = ["auth/group", "market/plan", "sites/site", "tenants/tenant", "users/user"]
OF_PUBLIC_ONLY = [*sorted({*SHARED} - {*TENANTS}), "orders/planoftenant", "orders/sharedrow"]


@pytest.fixture
def plan(db):
    return Plan.objects.create(name="team")


@pytest.mark.parametrize(
    ("client", "here", "elsewhere"),
    [
        ("tenant_client", TENANTS, OF_PUBLIC_ONLY),
        ("public_client", SHARED, ["notes/note", "orders/order", "tenancy/member"]),
    ],
)
def test_a_host_has_the_models_of_its_schema(request, client, here, elsewhere):
    """I2: wherever a model was registered."""
    client = request.getfixturevalue(client)
    index = client.get("/admin/").text

    for name in here:
        assert f'href="/admin/{name}/"' in index
        assert client.get(f"/admin/{name}/").status_code == 200, name
    for name in elsewhere:
        assert f"/admin/{name}/" not in index
        for page in ("", "add/", "1/change/", "1/delete/", "1/history/"):
            for method in (client.get, client.post):
                assert method(f"/admin/{name}/{page}").status_code == 404, name
    assert client.get("/admin/jsi18n/").status_code == 200


def test_a_proxy_and_an_unmanaged_model_are_where_their_table_is(public_client):
    for name in ("orders/planoftenant", "orders/sharedrow"):
        assert public_client.get(f"/admin/{name}/").status_code == 200


def test_the_rows_of_an_app_in_both_lists_are_the_hosts_own(public_client, tenant_client, tenant):
    Group.objects.create(name="Editors")
    assert "Editors" in tenant_client.get("/admin/auth/group/").text
    tenant.deactivate()
    assert "Editors" not in public_client.get("/admin/auth/group/").text


def test_a_library_page_of_a_model_is_where_the_model_is(tenant_client, public_client):
    assert tenant_client.get("/admin/market/plan/prices/").status_code == 404
    assert public_client.get("/admin/market/plan/prices/").text == "9"


def test_a_template_can_link_to_every_model_at_every_host():
    """I2: reverse() of what is elsewhere leads to a page that isn't there, not to an exception."""
    names = ["market_plan_changelist", "prices", "notes_note_add", "tenancy_member_changelist"]
    for urlconf in ("server.urls", "server.urls_public"):
        for name in names:
            assert reverse(f"admin:{name}", urlconf).startswith("/admin/")
        for label in ("market", "orders"):
            assert reverse("admin:app_list", urlconf, kwargs={"app_label": label})


def test_the_page_of_an_app_is_where_its_models_are(tenant_client, public_client):
    assert tenant_client.get("/admin/market/").status_code == 404
    assert tenant_client.get("/admin/orders/").status_code == 200
    assert public_client.get("/admin/market/").status_code == 200


def test_a_shared_row_is_read_only_text_at_a_tenants_host(tenant, tenant_client, plan):
    note = Note.objects.create(text="Milk", author=tenant.owner)
    order = Order.objects.create(plan=plan)

    assert (
        "/admin/users/user/" not in tenant_client.get(f"/admin/notes/note/{note.pk}/change/").text
    )
    page = tenant_client.get(f"/admin/orders/order/{order.pk}/change/").text
    assert "team" in page
    assert "/admin/market/plan/" not in page


def test_autocomplete_answers_for_models_of_the_host_only(tenant_client, public_client, plan):
    """I2: the field's model may be anything that Django knows."""
    fields = [
        ("orders", "order", "plan"),
        ("orders", "order", "buyer"),
        ("tenants", "tenant", "owner"),
    ]
    for names in fields:
        query = dict(zip(("app_label", "model_name", "field_name"), names, strict=True))
        assert tenant_client.get("/admin/autocomplete/", query).status_code == 403
        assert public_client.get("/admin/autocomplete/", query).status_code == 200


def test_view_on_site_tells_nothing_of_shared_rows(tenant, tenant_client, public_client, plan):
    """I2: /r/ would redirect to the address of any object, and so tell its name."""
    kinds = [ContentType.objects.get_for_model(model).pk for model in (Plan, Note)]
    note = Note.objects.create(text="Milk", author=tenant.owner)

    for path in (f"{kinds[0]}/{plan.pk}/", f"{kinds[0]}/0/", "0/1/", "x/1/"):
        assert tenant_client.get(f"/admin/r/{path}").status_code == 404
    assert public_client.get(f"/admin/r/{kinds[0]}/{plan.pk}/").url.endswith("/plans/team/")
    assert public_client.get(f"/admin/r/{kinds[1]}/{note.pk}/").status_code == 404


def test_forms_offer_the_tenants_own_rows(tenant, tenant_client, other_tenant, plan):
    """I2: no field names people, tenants or organizations of others."""
    ada = get_user_model().objects.get(username="other")
    page = tenant_client.get("/admin/orders/order/add/").text

    assert f'<option value="{tenant.owner_id}">admin</option>' in page
    assert ">First Tenant</option>" in page
    assert ada.username + "</option>" not in page
    assert "Other Tenant" not in page
    data = {"plan": plan.pk, "tenant": other_tenant.pk, "buyer": ada.pk}
    assert "Select a valid choice" in tenant_client.post("/admin/orders/order/add/", data).text


def test_forms_offer_shared_rows_that_belong_to_the_tenant(
    tenant, tenant_client, other_tenant, plan
):
    ours, theirs = (Contract.objects.create(tenant=each) for each in (tenant, other_tenant))

    def errors(contract):
        form = {"plan": plan.pk, "contract": contract.pk} | NO_HELPERS
        page = tenant_client.post("/admin/orders/order/add/", form)
        return page.context["adminform"].form.errors

    fields = tenant_client.get("/admin/orders/order/add/").context["adminform"].form.fields
    assert [*fields["contract"].queryset] == [ours]
    assert "contract" not in errors(ours)
    assert "Select a valid choice" in str(errors(theirs)["contract"])


NO_HELPERS = {"Order_helpers-TOTAL_FORMS": 0, "Order_helpers-INITIAL_FORMS": 0}


def test_filters_offer_what_is_in_the_rows(tenant, tenant_client, other_tenant, plan):
    owners = (tenant, tenant, other_tenant)
    *ours, theirs = (Contract.objects.create(tenant=each) for each in owners)
    for contract in ours:
        Order.objects.create(plan=plan, buyer=tenant.owner, tenant=tenant, contract=contract)
    page = tenant_client.get("/admin/orders/order/").text
    filters = page.split('id="changelist-filter"')[1].split("</nav>")[0]

    assert 'href="?buyer__username=admin"' in filters
    assert f"?contract__id__exact={ours[0].pk}" in filters
    assert f"?contract__id__exact={theirs.pk}" not in filters
    assert "other" not in filters.lower()


def test_a_group_is_given_permissions_of_models_of_the_host(tenant_client, public_client):
    """I2: other permissions would mean nothing there."""

    def offered(client):
        form = client.get("/admin/auth/group/add/").context["adminform"].form
        rows = form.fields["permissions"].queryset
        return {*rows.values_list("content_type__app_label", flat=True)}

    assert {"auth", "notes", "orders", "permissions"} <= offered(tenant_client)
    assert not {"tenants", "users", "market", "sites"} & offered(tenant_client)
    assert {"auth", "tenants", "users", "market", "sites"} <= offered(public_client)
    assert not {"notes"} & offered(public_client)


def test_a_person_is_shown_in_few_queries(public_client, ada):
    """The name of each permission that is offered has its content type's in it."""
    with CaptureQueriesContext(connection) as queries:
        assert public_client.get(f"/admin/users/user/{ada.pk}/change/").status_code == 200

    assert len([each for each in queries if "django_content_type" in each["sql"]]) < 10


def test_a_shared_row_to_which_tenants_may_refer_is_not_deleted(public_client, plan):
    """I2: the confirmation would look for the tenants' rows in the public schema."""
    url = f"/admin/market/plan/{plan.pk}/delete/"
    assert "at other hosts" in public_client.get(url).text
    public_client.post(url, {"post": "yes"})
    action = {"action": "delete_selected", "_selected_action": [plan.pk], "post": "yes"}
    assert public_client.post("/admin/market/plan/", action).status_code == 200

    assert Plan.objects.get() == plan


def test_a_tenants_row_takes_no_shared_row_with_it(tenant, tenant_client, public_client):
    """I2: a shared row that refers to public's group 7 doesn't mean a tenant's group 7."""
    tenant.deactivate()
    ours = Group.objects.create(pk=77, name="Partners")
    Discount.objects.create(group=ours)
    with tenant:
        Group.objects.create(pk=77, name="Editors")

    assert "iscount" not in tenant_client.get("/admin/auth/group/77/delete/").text
    tenant_client.post("/admin/auth/group/77/delete/", {"post": "yes"})
    with tenant:
        assert not Group.objects.filter(pk=77).exists()
    assert Discount.objects.get().group == ours
    assert "Discount" in public_client.get("/admin/auth/group/77/delete/").text


def test_history_is_the_hosts_own(tenant, tenant_client, public_client):
    """I2: LogEntry is in both lists."""
    tenant_client.post("/admin/auth/group/add/", {"name": "Editors"})
    with tenant:
        pk = LogEntry.objects.get().object_id
        assert pk == str(Group.objects.get(name="Editors").pk)
    tenant.deactivate()
    assert not LogEntry.objects.exists()
    assert public_client.get(f"/admin/auth/group/{pk}/history/").status_code == 302


def test_no_right_comes_with_a_shared_models_admin(public, public_client, plan):
    """I2: the public admin's rights decide."""
    person = get_user_model().objects.create_user("p@localhost", "password", username="p")
    rights = person.usertenantpermissions
    rights.is_staff = True
    rights.save()
    client = TenantClient(public, person)

    assert client.get("/admin/market/plan/").status_code == 403
    rights.user_permissions.add(Permission.objects.get(codename="view_plan"))
    assert client.get("/admin/market/plan/").status_code == 200
    assert client.get("/admin/sites/site/").status_code == 403


class Sites:
    def __init__(self):
        self.tenant, self.public = TenantSite(), PublicSite()

    def read_urls(self):
        return self.tenant.get_urls(), self.public.get_urls()


@pytest.fixture
def sites(monkeypatch):
    """Two sites that know of no others."""
    found = []
    for module in ("isolation.admin_site", "health.checks", "health.requirements"):
        monkeypatch.setattr(f"tenancy.{module}.all_sites", found)
    sites = Sites()
    found += [sites.tenant, sites.public]
    sites.found = found
    yield sites
    for site in found:
        all_sites.discard(site)


class NoteAdmin(admin.ModelAdmin):
    pass


class PlanAdmin(admin.ModelAdmin):
    pass


@pytest.mark.parametrize("registered_on", ["tenant", "public"])
def test_it_does_not_matter_on_which_site_a_model_is_registered(sites, registered_on):
    site = getattr(sites, registered_on)
    site.register(Note, NoteAdmin)
    site.register(Plan, PlanAdmin, list_per_page=7)
    sites.read_urls()

    assert [*sites.tenant._registry] == [Note]
    assert [*sites.public._registry] == [Plan]
    assert sites.public.get_model_admin(Plan).list_per_page == 7
    assert sites.public.get_model_admin(Plan).admin_site is sites.public


def test_what_is_registered_is_known_after_an_app_without_an_admin_module(sites):
    """I2: Django's autodiscover puts a copy of the registry back after such an app."""
    site = sites.tenant
    site.register(Group)
    site._registry = {**site._registry}
    site.register(Note, NoteAdmin)

    assert site.is_registered(Group)
    assert site.is_registered(Note)
    site.unregister(Note)
    site.register(Note, NoteAdmin)


def test_a_sites_own_admin_of_a_model_comes_first(sites):
    sites.tenant.register(Group)
    sites.public.register(Group, PlanAdmin)
    sites.read_urls()

    assert isinstance(sites.public.get_model_admin(Group), PlanAdmin)
    assert not isinstance(sites.tenant.get_model_admin(Group), PlanAdmin)


def test_a_registered_model_is_replaced_as_in_django(sites):
    sites.tenant.register(Plan)
    with pytest.raises(admin.exceptions.AlreadyRegistered):
        sites.tenant.register(Plan)
    sites.tenant.unregister(Plan)
    sites.tenant.register(Plan, PlanAdmin)
    sites.read_urls()
    assert isinstance(sites.public.get_model_admin(Plan), PlanAdmin)

    sites.tenant.unregister(Plan)
    sites.read_urls()
    assert not sites.public.is_registered(Plan)


def test_an_inline_is_shown_where_its_model_is(sites, rf):
    class Orders(admin.TabularInline):
        model = Order

    sites.public.register(Plan, inlines=[Orders])
    sites.read_urls()

    assert sites.public.get_model_admin(Plan).get_inlines(rf.get("/"), None) == []


def test_an_autocomplete_of_a_model_elsewhere_is_named_and_becomes_a_select(sites, rf, tenant):
    class Orders(admin.ModelAdmin):
        autocomplete_fields = ("buyer",)

    sites.tenant.register(Order, Orders)
    sites.public.register(get_user_model(), search_fields=["username"])
    [problem] = sites.tenant.check(None)
    assert problem.id == "admin.E039"
    assert "at the same host (TenantSite)" in problem.hint

    request = rf.get("/")
    request.tenant, request.user = tenant, tenant.owner
    form = sites.tenant.get_model_admin(Order).get_form(request)
    assert [*form.base_fields["buyer"].queryset] == [tenant.owner]
    assert "admin-autocomplete" not in str(form()["buyer"])


def test_a_model_of_two_schemas_is_at_no_host_and_named_by_check(sites):
    """I2: a change of a tenant's GoldPlan would also change the shared Plan."""
    sites.tenant.register(GoldPlan)
    sites.read_urls()

    messages = [(message.id, message.obj) for message in check_admin()]
    assert messages == [("tenancy.W032", GoldPlan)]
    assert not sites.tenant.is_registered(GoldPlan)


def test_a_site_that_would_show_everything_is_refused(sites):
    """I2: nothing decides which models it has."""
    site = admin.AdminSite("extra")
    sites.found.append(site)

    [message] = admin_sites()
    assert message.id == "tenancy.E033"
    assert "AdminSite(name='extra')" in message.msg
