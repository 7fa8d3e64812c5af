"""The actions of the public admin run when they are confirmed, and the log shows them."""

import re
from datetime import timedelta

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.db import connection
from django.template.defaultfilters import date
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tenants.utils import schema_exists
from server.tenants.models import Tenant
from tenancy import lifecycle, support
from tenancy.history import record
from tenancy.models import Invitation, LastSeen, TenantEvent
from tenancy.people.accounts import create_user
from tenancy.people.members import add_member, remove_member
from tenant_users.permissions.models import UserTenantPermissions

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
    page = act("purge", tenant).text
    assert "Before the grace period is over" in page
    assert "delete-confirmation" in page  # it looks like what it is

    named = CONFIRM | {"name": "First Tenant"}
    assert "it is kept until" in act("purge", tenant, **named).text
    for wrong in ("", "first", "Other"):
        page = act("purge", tenant, now="on", **CONFIRM | {"name": wrong})
        assert "Type the name" in page.text
    assert schema_exists(tenant.schema_name)

    act("purge", tenant, now="on", **named)
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


def test_an_address_that_is_no_members_is_invited_to_own_it(act, tenant, ada, mailoutbox):
    add_member(tenant, "ada", by="test")
    act("transfer", tenant, username="ADA@example.com", **CONFIRM)
    assert Tenant.objects.get(pk=tenant.pk).owner == ada  # a member: at once

    act("transfer", tenant, username="Grace@example.com", **CONFIRM)
    assert Tenant.objects.get(pk=tenant.pk).owner == ada
    invitation = Invitation.objects.get()
    assert (invitation.email, invitation.role) == ("grace@example.com", "owner")


# A tenant's page


def page_of(client, tenant):
    return client.get(f"{URL}{tenant.pk}/change/").text


def offered(page):
    return set(re.findall(r'name="action" value="(\w+)"', page))


LEGAL = {
    Status.ACTIVE: {"suspend", "rename", "transfer", "delete"},
    Status.SUSPENDED: {"resume", "rename", "transfer", "delete"},
    Status.DELETED: {"undelete", "purge"},
    Status.PURGING: {"purge"},
    Status.PROVISIONING: {"finish", "abandon"},
}


@pytest.mark.parametrize("state", [*LEGAL])
def test_a_page_offers_what_the_state_allows(public_client, tenant, public, state):
    tenant.deactivate()
    Tenant.objects.filter(pk=tenant.pk).update(status=state)

    assert offered(page_of(public_client, tenant)) == LEGAL[state]
    assert offered(page_of(public_client, public)) == {"transfer"}


def test_a_page_shows_the_history(public_client, tenant, other_tenant):
    tenant.deactivate()
    lifecycle.suspend(tenant, "grace")
    lifecycle.suspend(other_tenant, "bob")

    page = page_of(public_client, tenant)
    assert "grace" in page
    assert "bob" not in page
    for number in range(20):
        record("test", tenant, f"by {number}")
    page = page_of(public_client, tenant)
    assert "grace" not in page
    url = f"/admin/tenancy/tenantevent/?q={tenant.schema_name}"
    assert f'href="{url}"' in page
    assert "grace" in public_client.get(url).text


def test_the_list_says_how_a_tenant_is_used_in_as_few_queries(public_client, tenant, ada):
    add_member(tenant, "ada", by="test")
    seen = timezone.now() - timedelta(days=2)
    LastSeen.objects.create(tenant=tenant, user=ada, at=seen)
    tenant.deactivate()

    with CaptureQueriesContext(connection) as few:
        page = public_client.get(URL).text
    assert '<td class="field-members">2</td>' in page
    assert date(timezone.localtime(seen), "N j, Y, P") in page
    for number in range(5):
        same = {"organization": tenant.organization, "owner": tenant.owner}
        slug = f"more-{number}"
        Tenant.objects.create(name=slug, slug=slug, schema_name=f"{slug}_00000000", **same)
    with CaptureQueriesContext(connection) as many:
        assert "more-4" in public_client.get(URL).text
    assert len(many) == len(few)


def test_an_operator_asks_and_enters_on_a_tenants_page(public_client, public, tenant, mailoutbox):
    tenant.deactivate()
    UserTenantPermissions.objects.filter(profile=public.owner).update(is_superuser=True)
    owner = create_user("grace", "grace@example.com")
    lifecycle.transfer(tenant, "grace", "test")
    remove_member(tenant, "admin", by="test")
    ask = f"{URL}{tenant.pk}/ask/"

    assert "and a second factor" in page_of(public_client, tenant)
    assert public_client.post(ask).status_code == 403
    assert not mailoutbox

    TOTP.activate(public.owner, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    assert "Ask for access" in page_of(public_client, tenant)
    assert public_client.get(ask).status_code == 405
    page = public_client.post(ask, follow=True).text
    assert "We have asked the owner for access by e-mail." in page
    assert mailoutbox[0].to == ["grace@example.com"]

    support.allow(tenant, owner, timedelta(days=1), may_write=False)
    page = page_of(public_client, tenant)
    assert "its owner lets you read." in page
    assert 'href="http://first.localhost/sign-in/support/"' in page


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
