"""The actions of the public admin run when they are confirmed, and the log shows them."""

import pytest
from django_tenants.utils import schema_exists
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.models import TenantEvent

from engine.schemas import is_purged

URL = "/admin/tenants/tenant/"
Status = Tenant.Status


@pytest.fixture
def act(public_client, tenant):
    """Choose an action for some tenants, and confirm it if there are answers; returns the page."""
    tenant.deactivate()

    def act(action, *tenants, **answers):
        chosen = {"action": action, "_selected_action": [one.pk for one in tenants]}
        return public_client.post(URL, chosen | answers, follow=True)

    return act


CONFIRM = {"confirmed": "Yes"}


def status(tenant):
    return Tenant.all_objects.get(pk=tenant.pk).status


@pytest.mark.parametrize(
    ("was", "action", "becomes"),
    [
        (Status.ACTIVE, "suspend", Status.SUSPENDED),
        (Status.SUSPENDED, "resume", Status.ACTIVE),
        (Status.ACTIVE, "delete", Status.DELETED),
        (Status.SUSPENDED, "delete", Status.DELETED),
    ],
)
def test_an_action_runs_when_it_is_confirmed(act, tenant, was, action, becomes):
    Tenant.objects.filter(pk=tenant.pk).update(status=was)

    page = act(action, tenant)
    assert "<strong>First Tenant</strong> (first, first.localhost)" in page.text
    assert status(tenant) == was

    assert f"{action.title()}: done for “First Tenant”." in act(action, tenant, **CONFIRM).text
    assert status(tenant) == becomes
    assert TenantEvent.objects.first().by == "admin"


def test_an_action_runs_for_several_tenants(act, tenant, other_tenant):
    lifecycle.suspend(other_tenant, "ada")

    page = act("suspend", tenant, other_tenant, **CONFIRM)

    assert "Suspend: done for “First Tenant”." in page.text
    assert "Can&#x27;t suspend “other”: it is suspended, not active." in page.text
    assert status(tenant) == Status.SUSPENDED


def test_the_main_website_stays(act, public):
    assert "it is the main website" in act("suspend", public, **CONFIRM).text
    assert status(public) == Status.ACTIVE


def test_a_deleted_tenant_comes_back(act, tenant):
    lifecycle.delete(tenant, "ada")

    act("undelete", tenant, **CONFIRM)

    assert status(tenant) == Status.ACTIVE


def test_purging_asks_whether_it_is_to_be_now(act, tenant):
    lifecycle.delete(tenant, "ada")
    assert "Before the grace period is over" in act("purge", tenant).text

    assert "it is kept until" in act("purge", tenant, **CONFIRM).text
    assert schema_exists(tenant.schema_name)

    act("purge", tenant, now="on", **CONFIRM)
    assert is_purged(tenant.schema_name)
    assert not Tenant.all_objects.filter(pk=tenant.pk).exists()


def test_a_tenant_is_renamed(act, tenant):
    assert 'name="slug"' in act("rename", tenant).text

    act("rename", tenant, slug="second", **CONFIRM)

    renamed = Tenant.objects.get(pk=tenant.pk)
    assert (renamed.name, renamed.slug) == ("First Tenant", "second")


def test_a_form_that_was_opened_before_undoes_no_transition(public_client, tenant):
    tenant.deactivate()
    lifecycle.suspend(tenant, "ada")

    answers = {"name": "Renamed", "organization": tenant.organization_id, "plan": "free"}
    public_client.post(f"{URL}{tenant.pk}/change/", answers)

    renamed = Tenant.objects.get(pk=tenant.pk)
    assert (renamed.name, renamed.status) == ("Renamed", Status.SUSPENDED)
    assert renamed.modified > tenant.modified


def test_a_tenant_gets_another_owner(act, tenant):
    page = act("transfer", tenant, **CONFIRM)
    assert "This field is required" in page.text
    assert (
        "There is no active user “nobody”"
        in act("transfer", tenant, username="nobody", **CONFIRM).text
    )

    act("transfer", tenant, username="other", **CONFIRM)

    assert Tenant.objects.get(pk=tenant.pk).owner.username == "other"


def test_what_is_half_made_is_removed(act, tenant):
    half = Tenant.objects.create(
        name="Half",
        slug="half",
        schema_name="half_00000000",
        organization=tenant.organization,
        owner=tenant.owner,
    )

    act("abandon", half, **CONFIRM)

    assert not Tenant.all_objects.filter(pk=half.pk).exists()


def test_a_name_that_is_changed_in_the_form_is_in_the_log(public_client, tenant):
    tenant.deactivate()
    answers = {"name": "Second", "organization": tenant.organization_id, "plan": "free"}
    public_client.post(f"{URL}{tenant.pk}/change/", answers)

    change = TenantEvent.objects.first()
    assert (change.by, change.action, change.before, change.after) == (
        *("admin", "change"),
        *("name: First Tenant", "name: Second"),
    )


def test_the_log_is_read_and_not_written(public_client, tenant):
    tenant.deactivate()
    lifecycle.suspend(tenant, "ada")
    change = TenantEvent.objects.first()
    url = "/admin/tenancy/tenantevent/"

    assert "ada" in public_client.get(f"{url}?q={tenant.schema_name}").text
    assert public_client.get(f"{url}{change.pk}/change/").status_code == 200
    for path in ("add/", f"{change.pk}/delete/"):
        assert public_client.post(url + path, {"post": "yes"}).status_code == 403
    assert public_client.post(f"{url}{change.pk}/change/", {"by": "me"}).status_code == 403
    assert TenantEvent.objects.get(pk=change.pk).by == "ada"
