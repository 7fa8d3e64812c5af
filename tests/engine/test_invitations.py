"""Invitations: who may send them, where the link leads, and for whom it is good."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone
from server.tenants.models import Tenant
from tenancy import copies, lifecycle
from tenancy.exceptions import AlreadyMember, InvalidRole, NotInvited, RateLimited
from tenancy.models import Invitation, LastSeen, TenantEvent
from tenancy.people import invitations
from tenancy.people.account.export import data_of
from tenancy.people.accounts import anonymise, create_user, deactivate
from tenancy.people.invitations import accept, invite, invite_owner, resend, revoke
from tenancy.people.members import add_member, change_role, remove_member
from tenancy.testing import TenantClient
from tenant_users.permissions.models import UserTenantPermissions

from engine.browser import Browser
from engine.copies import cleaned_up, provision
from engine.people import erase
from engine.roles import roles_of

User = get_user_model()
ADA, GRACE = "ada@example.com", "grace@example.com"


@pytest.fixture
def owner(outside):
    return outside.owner


@pytest.fixture
def mails(mailoutbox, django_capture_on_commit_callbacks):
    """Call a function and what waits for its commit; return the e-mails."""

    def mails(function, *args):
        mailoutbox.clear()
        with django_capture_on_commit_callbacks(execute=True):
            function(*args)
        return [*mailoutbox]

    return mails


@pytest.fixture
def link(outside, owner, mails):
    """Invite an address; return the path of the link in the e-mail."""

    def link(email=GRACE, role="member", by=None, tenant=None):
        [mail] = mails(invite, tenant or outside, email, role, by or owner)
        return path_in(mail)

    return link


def path_in(mail):
    return re.search(r"^http://localhost(/invitations/[\w-]+/)$", mail.body, re.M)[1]


def token_of(path):
    return path.split("/")[2]


def join(browser, path, **data):
    return browser.at("localhost").post(path, data)


# Who sends what


def test_an_invitation_is_an_email_with_a_link(outside, owner, mails):
    User.objects.filter(pk=owner.pk).update(name="Ada Lovelace")
    owner.refresh_from_db()

    [mail] = mails(invite, outside, GRACE, "admin", owner)

    assert mail.to == [GRACE]
    assert mail.subject == "Ada Lovelace invites you to First Tenant"
    assert "7 days" in mail.body
    assert path_in(mail) in mail.alternatives[0].content
    row = Invitation.objects.get()
    assert row.token not in mail.body
    assert token_of(path_in(mail)) not in str(vars(row))
    event = TenantEvent.objects.first()
    assert (event.by, event.action, event.username) == ("admin", "invite", GRACE)


def test_names_bring_no_links_and_no_lines_of_the_senders(outside, owner, mails):
    Tenant.objects.filter(pk=outside.pk).update(
        name="Prize!\r\nhttps://evil.example/x www.evil.example me@evil.example " + "x" * 100
    )
    User.objects.filter(pk=owner.pk).update(name="evil.com\N{RIGHT-TO-LEFT OVERRIDE}")
    outside.refresh_from_db()
    owner.refresh_from_db()

    [mail] = mails(invite, outside, GRACE, "member", owner)

    html = mail.alternatives[0].content
    assert [*re.findall(r'href="([^"]+)"', html)] == [f"http://localhost{path_in(mail)}"]
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in mail.body
    assert "evil.example" not in mail.body
    assert len(mail.subject) < 160
    assert "\n" not in mail.subject


@pytest.mark.parametrize("role", ["owner", "nonsense", ""])
def test_only_roles_that_exist_are_given_by_invitation(outside, owner, role):
    with pytest.raises(InvalidRole):
        invite(outside, GRACE, role, owner)


@pytest.mark.parametrize("role", ["member", None])
def test_who_may_not_manage_members_invites_nobody(outside, ada, role):
    if role:
        add_member(outside, "ada", role, by="test")
    for wanted in ("member", "admin"):
        with pytest.raises(InvalidRole):
            invite(outside, GRACE, wanted, ada)


def test_who_is_listed_already_is_not_invited(outside, owner, ada):
    add_member(outside, "ada", by="test")
    with pytest.raises(AlreadyMember, match=r"ada@example\.com is a member already"):
        invite(outside, ADA, "admin", owner)


def test_the_main_website_invites_nobody(public):
    with pytest.raises(InvalidRole):
        invite(public, GRACE, "member", public.owner)


def test_a_workspace_sends_so_many_a_day_and_fewer_on_its_first(outside, owner, settings):
    settings.TENANCY_RATES = {"invitation-first-day": "1/1d", "invitation": "2/1d"}
    invite(outside, "a@example.com", "member", owner)
    with pytest.raises(RateLimited):
        invite(outside, "b@example.com", "member", owner)

    Tenant.objects.filter(pk=outside.pk).update(created=timezone.now() - timedelta(days=2))
    outside.refresh_from_db()
    for name in ("b", "c"):
        invite(outside, f"{name}@example.com", "member", owner)
    with pytest.raises(RateLimited):
        resend(Invitation.objects.first(), owner)


# New people


def test_a_new_person_gets_an_account_and_is_in_the_workspace(browser, outside, link, settings):
    settings.SIGN_UP = False
    path = link()
    page = browser.at("localhost").get(path)
    assert "You are invited to First Tenant" in page.text
    assert "no-store" in page["Cache-Control"]
    assert "Join First Tenant" not in page.text
    assert browser.at("localhost").get(path).status_code == 200  # opening it uses nothing up

    assert join(browser, path).context["form"].errors["terms"]
    page = browser.open(f"http://localhost{join(browser, path, terms='on').url}")
    page = browser.open(page.context["url"])

    assert page.wsgi_request.get_host() == "first.localhost"
    assert browser.is_in()
    user = User.objects.get(email=GRACE)
    assert roles_of(outside)[user.username] == "member"
    assert user.is_verified
    assert EmailAddress.objects.get(user=user).verified
    assert not user.has_usable_password()
    actions = [*TenantEvent.objects.values_list("action", flat=True)[:4]]
    assert actions == ["sign in", "accept invitation", "accept terms", "invite"]
    assert Invitation.objects.get().accepted_by == user


def test_what_was_set_up_before_the_address_was_confirmed_is_gone(browser, outside, link):
    attacker = create_user("eve", GRACE)
    attacker.set_password("attack")
    attacker.save()

    join(browser, link(), terms="on")

    attacker.refresh_from_db()
    assert not attacker.has_usable_password()
    assert roles_of(outside)["eve"] == "member"


def test_an_account_with_another_persons_unconfirmed_address_hinders_nobody(
    browser, outside, link, ada
):
    EmailAddress.objects.create(user=ada, email=GRACE, verified=False)

    join(browser, link(), terms="on")

    assert User.objects.get(email=GRACE).username in roles_of(outside)
    assert "ada" not in roles_of(outside)


def test_who_has_an_account_signs_in_to_accept(browser, outside, link, ada):
    path = link(ADA)
    answer = join(browser, path, terms="on")
    assert answer.url.startswith("/account/login/?next=%2Finvitations%2F")
    assert "Sign in to accept" in browser.open(f"http://localhost{answer.url}").text
    assert "ada" not in roles_of(outside)

    browser.sign_in("ada", "analytical engine", goal=path)
    page = browser.at("localhost").get(path)
    assert "Join First Tenant" in page.text
    assert "ada" not in roles_of(outside)  # to open it isn't to accept it
    page = browser.open(f"http://localhost{join(browser, path).url}")
    browser.open(page.context["url"])

    assert browser.is_in()
    assert roles_of(outside)["ada"] == "member"


def test_sign_in_leads_back_to_the_invitation(browser, link, ada):
    path = link(ADA)
    page = browser.open(f"http://localhost{join(browser, path, **{'sign-in': ''}).url}")
    assert page.context["redirect_field_value"] == path
    answer = browser.sign_in("ada", "analytical engine", goal="")  # the form has lost it
    assert answer.url == path


def test_capital_letters_make_no_difference(browser, outside, owner, ada, mails):
    [mail] = mails(invite, outside, ADA, "member", owner)
    EmailAddress.objects.filter(user=ada).update(email=ADA)

    accept(token_of(path_in(mail)), ada)

    assert roles_of(outside)["ada"] == "member"


def test_a_second_address_will_do_once_it_is_confirmed(outside, link, ada):
    token = token_of(link())
    second = EmailAddress.objects.create(user=ada, email=GRACE, verified=False)
    with pytest.raises(NotInvited):
        accept(token, ada)
    second.verified = True
    second.save()

    accept(token, ada)

    assert roles_of(outside)["ada"] == "member"


# For whom it isn't good


def test_a_forwarded_link_is_for_the_invited_address_alone(browser, outside, link, ada):
    path = link()
    browser.sign_in("ada", "analytical engine")
    page = browser.at("localhost").get(path)

    assert "an account without the invited address" in page.text
    assert "Use another account" in page.text
    assert join(browser, path, terms="on").status_code == 200
    assert "ada" not in roles_of(outside)
    assert Invitation.objects.get().accepted is None


def used(path, outside, owner):
    create_user("bob", "bob@example.com", "difference engine")
    EmailAddress.objects.create(user=User.objects.get(username="bob"), email=GRACE, verified=True)
    accept(token_of(path), User.objects.get(username="bob"))


def revoked(path, outside, owner):
    revoke(Invitation.objects.get(), owner)


def expired(path, outside, owner):
    Invitation.objects.update(expires=timezone.now())


def renewed(path, outside, owner):
    resend(Invitation.objects.get(), owner)


def invited_anew(path, outside, owner):
    invite(outside, GRACE, "admin", owner)


def suspended(path, outside, owner):
    lifecycle.suspend(outside, "test")


ENDS = (used, revoked, expired, renewed, invited_anew, suspended)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_link_ends(browser, outside, owner, link, end):
    path = link()
    end(path, outside, owner)
    before = {*roles_of(outside)}

    for answer in (browser.at("localhost").get(path), join(browser, path, terms="on")):
        assert answer.status_code == 404
        assert "good any more" in answer.text
        assert "First Tenant" not in answer.text
    assert {*roles_of(outside)} == before
    assert browser.at("localhost").get("/invitations/never-there/").text == answer.text


def remove(outside, ada, settings):
    remove_member(outside, "ada", by="test")


def remove_and_add(outside, ada, settings):
    remove_member(outside, "ada", by="test")
    add_member(outside, "ada", "admin", by="test")


def switch_off(outside, ada, settings):
    deactivate("ada", "test")


def demote(outside, ada, settings):
    change_role(outside, "ada", "member", by="test")


def change_setting(outside, ada, settings):
    settings.TENANCY_ROLES = settings.TENANCY_ROLES | {"admin": {"is_staff": True}}


LAPSES = (remove, remove_and_add, switch_off, demote, change_setting)


@pytest.mark.parametrize("lapse", LAPSES, ids=lambda lapse: lapse.__name__)
def test_it_lapses_with_the_senders_right_to_give_the_role(
    browser, outside, link, ada, settings, lapse
):
    add_member(outside, "ada", "admin", by="test")
    path = link(by=ada)
    lapse(outside, ada, settings)

    assert join(browser, path, terms="on").status_code == 404
    assert not User.objects.filter(email=GRACE).exists()


def test_a_member_keeps_the_role_they_have(outside, link, ada):
    token = token_of(link(ADA, "member"))
    add_member(outside, "ada", "admin", by="test")
    accept(token, ada)
    assert roles_of(outside)["ada"] == "admin"


def test_an_invitation_is_for_one_workspace(outside, other_tenant, link, ada):
    accept(token_of(link(ADA)), ada)
    assert "ada" not in roles_of(other_tenant)


def test_the_link_is_on_the_main_website_alone(outside, browser, link):
    path = link()
    assert browser.at("first.localhost").get(path).status_code == 404


@pytest.mark.usefixtures("committed_db")
def test_of_two_at_once_one_is_let_in():
    """And the same person at once in two browsers is let in once."""
    tenant = Tenant.objects.get(slug="first")
    people = [create_user(f"twin{n}", f"twin{n}@example.com", "a password") for n in range(2)]
    try:
        for person in people:
            EmailAddress.objects.filter(user=person).update(verified=True)
        invite(tenant, "twin0@example.com", "member", tenant.owner)
        token = "a token"
        Invitation.objects.update(token=invitations.digest(token))

        def attempt(person):
            try:
                return accept(token, person) == tenant
            except NotInvited:
                return False
            finally:
                connection.close()

        with ThreadPoolExecutor(6) as threads:
            results = [*threads.map(attempt, [people[0]] * 5 + [people[1]])]

        assert results.count(True) == 1
        assert roles_of(tenant)["twin0"] == "member"
        assert "twin1" not in roles_of(tenant)
        assert TenantEvent.objects.filter(action="accept invitation").count() == 1
    finally:
        Invitation.objects.all().delete()
        for person in people:
            deactivate(person.username, "test")
        erase(User.objects.filter(pk__in=[person.pk for person in people]))
        TenantEvent.objects.exclude(action="provision").delete()


# What else is told, kept and forgotten


def test_nobody_is_told_whether_an_address_has_an_account(outside, owner, ada, mails):
    [known], [unknown] = (mails(invite, outside, email, "member", owner) for email in (ADA, GRACE))
    assert known.subject == unknown.subject
    assert known.body.replace(path_in(known), "") == unknown.body.replace(path_in(unknown), "")
    assert not User.objects.filter(email=GRACE).exists()
    assert {*roles_of(outside)} == {"admin"}


def test_a_person_is_told_of_their_invitations_and_can_be_forgotten(outside, link, ada):
    accept(token_of(link(ADA)), ada)
    LastSeen.objects.create(tenant=outside, user=ada, at=timezone.now())
    data = data_of(ada)
    assert data["invitations"][0]["tenant__name"] == "First Tenant"
    assert data["workspaces"][0]["last_seen"]

    deactivate("ada", "test")
    anonymise("ada", "test")

    assert not Invitation.objects.exists()
    assert not LastSeen.objects.exists()
    assert not TenantEvent.objects.filter(username=ADA).exists()


@pytest.mark.usefixtures("committed_db")
def test_a_clone_has_no_invitations_and_a_purge_takes_them():
    with cleaned_up():
        source = provision("source")
        invite(source, GRACE, "member", source.owner)
        copies.clone(source, "copy", "test")
        assert [row.tenant for row in Invitation.objects.all()] == [source]
    assert not Invitation.objects.exists()


def test_ended_invitations_are_forgotten_after_a_month(outside, owner):
    invite(outside, ADA, "member", owner)
    Invitation.objects.update(expires=timezone.now() - timedelta(days=31))
    invite(outside, GRACE, "member", owner)
    assert [row.email for row in Invitation.objects.all()] == [GRACE]


def test_a_provider_lets_in_who_is_invited(outside, link):
    link()
    assert invitations.is_invited(GRACE)
    assert not invitations.is_invited(ADA)
    Invitation.objects.update(revoked=timezone.now())
    assert not invitations.is_invited(GRACE)


def test_the_token_reaches_no_log(link, caplog):
    path = link()
    Browser().at("localhost").get(f"{path}nowhere/")  # a 404 that Django logs
    assert caplog.records
    assert token_of(path) not in caplog.text


# By an operator, to own the workspace


@pytest.fixture
def owners_link(outside, public, mails):
    create_user("bob", "bob@example.com")
    lifecycle.transfer(outside, "bob", by="test")
    remove_member(outside, "admin", by="test")
    [mail] = mails(invite_owner, outside, GRACE, public.owner)
    return path_in(mail)


def test_whoever_accepts_it_owns_the_workspace(browser, outside, owners_link):
    page = browser.at("localhost").get(owners_link).text
    assert "Each workspace has one owner." in page
    assert Tenant.objects.get(pk=outside.pk).owner.username == "bob"

    join(browser, owners_link, terms="on")

    owner = Tenant.objects.get(pk=outside.pk).owner
    assert owner.email == GRACE
    assert roles_of(outside) == {"bob": "member", owner.username: "owner"}
    transfer = TenantEvent.objects.filter(action="transfer").first()
    assert (transfer.before, transfer.after) == ("bob", owner.username)


def test_it_lapses_when_the_operator_is_none_any_more(browser, public, owners_link):
    UserTenantPermissions.objects.filter(profile=public.owner).update(is_staff=False)
    assert browser.at("localhost").get(owners_link).status_code == 404


def test_it_is_the_operators_to_give(outside, ada):
    for sender in (ada, outside.owner):
        UserTenantPermissions.objects.filter(profile=sender).update(is_superuser=False)
        with pytest.raises(InvalidRole):
            invite_owner(outside, GRACE, sender)


def test_the_workspaces_managers_see_it_and_revoke_it(outside, public, owners_link):
    client = TenantClient(outside, User.objects.get(username="bob"))
    page = client.get("/workspace/people/").text
    assert GRACE in page
    assert "may not invite people" not in page
    url = f"/workspace/people/invitations/{Invitation.objects.get().pk}/"
    assert "give this role" in client.post(url, follow=True).text
    assert "is revoked" in client.post(url, {"revoke": ""}, follow=True).text
