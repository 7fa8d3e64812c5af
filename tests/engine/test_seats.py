"""A plan's seats: members and open invitations take them, and no way leads past the last one."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.utils import timezone
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.exceptions import NoSeat
from tenancy.models import Invitation, TenantEvent
from tenancy.people.accounts import create_user, deactivate, reactivate
from tenancy.people.invitations import invite, resend, revoke
from tenancy.people.members import add_member, change_role, remove_member
from tenancy.people.seats import seats_of

from engine.copies import cleaned_up, provision
from engine.people import erase
from engine.test_members_at_once import at_once


@pytest.fixture(autouse=True)
def _three_seats(settings):
    settings.TENANCY_LIMITS = {"free": {"seats": 3}, "team": {}}


@pytest.fixture
def owner(tenant):
    return tenant.owner


def test_a_limit_is_of_the_plan_the_tenant_has_now(tenant, public):
    assert tenant.limit("seats") == 3
    assert tenant.limit("notes") is None
    assert public.limit("seats") is None

    lifecycle.change(tenant, "test", plan="team")
    tenant.refresh_from_db()
    assert tenant.limit("seats") is None
    tenant.plan, tenant.trial_ends = "free", timezone.now() + timedelta(days=1)
    assert tenant.limit("seats") is None
    tenant.trial_ends = timezone.now()
    assert tenant.limit("seats") == 3


def test_members_and_open_invitations_take_seats(tenant, owner, ada):
    first = invite(tenant, "a@x.org", "member", owner)
    invite(tenant, "b@x.org", "member", owner)
    assert seats_of(tenant) == (3, 3)
    with pytest.raises(NoSeat, match="All 3 seats of this workspace are taken"):
        invite(tenant, "c@x.org", "member", owner)
    with pytest.raises(NoSeat):
        add_member(tenant, "ada", by="test")
    assert not tenant.user_set.contains(ada)
    assert not Invitation.objects.filter(email="c@x.org").exists()

    invite(tenant, "b@x.org", "member", owner)  # instead of the earlier one
    revoke(first, owner)
    add_member(tenant, "ada", by="test")
    add_member(tenant, "ada", "admin", by="test")
    change_role(tenant, "ada", "member", by="test")
    assert seats_of(tenant).taken == 3


def test_an_expired_invitation_takes_none_until_it_is_sent_again(tenant, owner):
    old = invite(tenant, "a@x.org", "member", owner)
    Invitation.objects.update(expires=timezone.now())
    for letter in "bc":
        invite(tenant, f"{letter}@x.org", "member", owner)
    with pytest.raises(NoSeat):
        resend(old, owner)
    assert Invitation.objects.get(pk=old.pk).expires <= timezone.now()


def test_nobody_new_becomes_the_owner_of_a_full_workspace(tenant, owner, ada):
    for letter in "ab":
        invite(tenant, f"{letter}@x.org", "member", owner)
    with pytest.raises(NoSeat):
        lifecycle.transfer(tenant, "ada", "test")
    tenant.refresh_from_db()
    assert tenant.owner == owner

    Invitation.objects.all().delete()
    add_member(tenant, "ada", by="test")
    invite(tenant, "a@x.org", "member", owner)
    lifecycle.transfer(tenant, "ada", "test")  # a member already


def test_a_person_who_comes_back_takes_no_seat_unasked(tenant, ada):
    add_member(tenant, "ada", by="test")
    deactivate("ada", by="test")
    assert seats_of(tenant).taken == 1
    reactivate("ada", by="test")
    assert seats_of(tenant).taken == 1


def test_a_smaller_plan_removes_nobody_and_lets_nobody_in(
    outside, browser, settings, mailoutbox, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        invite(outside, "a@x.org", "member", outside.owner)
    link = mailoutbox[0].body.split("http://localhost")[1].split()[0]
    settings.TENANCY_LIMITS = {"free": {"seats": 1}}

    page = browser.at("localhost").post(link, {"terms": "on"})
    said = browser.at("localhost").get(link).text
    assert page.status_code == 302
    assert "The only seat of this workspace is taken." in said
    assert not EmailAddress.objects.filter(email="a@x.org").exists()

    user = create_user("a", "a@x.org", "analytical engine")
    confirmed = {"verified": True, "primary": True}
    EmailAddress.objects.update_or_create(confirmed, user=user, email="a@x.org")
    browser.sign_in("a", "analytical engine")
    assert "The only seat" in browser.at("localhost").post(link, follow=True).text
    assert outside.user_set.count() == 1


def test_of_two_at_once_one_gets_the_last_seat(committed_db, settings):
    settings.TENANCY_LIMITS = {"free": {"seats": 2}}
    with cleaned_up():
        tenant = provision("source")
        ada = create_user("ada", "ada@example.com")
        try:
            calls = [
                lambda: invite(tenant, "a@x.org", "member", tenant.owner),
                lambda: invite(tenant, "b@x.org", "member", tenant.owner),
                lambda: add_member(tenant, "ada", by="test"),
            ]
            raised = at_once(*calls)
            assert [type(error) for error in raised] == [NoSeat, NoSeat]
            assert seats_of(tenant).taken == 2
        finally:
            if tenant.user_set.contains(ada):
                remove_member(tenant, "ada", by="test")
            Tenant.objects.get(slug="public").user_set.remove(ada)
            with Tenant.objects.get(slug="public"):
                ada.usertenantpermissions.delete()
            erase(type(ada)._base_manager.filter(pk=ada.pk))
            TenantEvent.objects.filter(by="test").delete()


def test_the_page_of_people_says_how_many_are_taken(tenant, tenant_client, settings):
    page = tenant_client.post(
        "/workspace/people/", {"emails": "a@x.org b@x.org c@x.org", "role": "member"}
    ).text
    assert "3 of 3 seats are taken." in page
    assert "All 3 seats of this workspace are taken." in page
    assert "c@x.org</textarea>" in page

    settings.TENANCY_LIMITS = {}
    assert "seats are taken" not in tenant_client.get("/workspace/people/").text
