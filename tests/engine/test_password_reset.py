"""A forgotten password: a link for members of this tenant, good at this host, once."""

import re

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.test import Client
from server.tenants.models import Tenant
from tenancy.people.members import add_member, remove_member

NEW = {"new_password1": "analytical engine", "new_password2": "analytical engine"}


@pytest.fixture
def ask(db, mailoutbox):
    """Ask at a host for a new password of the person with this e-mail; returns the mails."""

    def ask(host, email):
        page = Client().post("/password/", {"email": email}, headers={"host": host}, follow=False)
        assert page.url == "/password/sent/"
        return mailoutbox

    return ask


def link(mail):
    return re.search(r"(https?://\S+?)(/password/\S+)", mail.body).groups()


def open_link(host, path):
    client = Client(SERVER_NAME=host)
    return client, client.get(path, follow=True)


@pytest.mark.parametrize(
    ("host", "name"),
    [("localhost", "Main Site"), ("first.localhost", "First Tenant")],
)
def test_who_forgot_the_password_sets_another_and_signs_in(ask, host, name):
    """R20: neither the header's port nor its `www.` is in the link."""
    [mail] = ask(f"www.{host.upper()}:8000", "ADMIN@localhost")
    site, path = link(mail)
    client, page = open_link(host, path)

    assert mail.to == ["admin@localhost"]
    assert name in mail.subject
    assert name in mail.body
    assert site == f"http://{host}"
    assert (
        "Your new password is set" in client.post(page.redirect_chain[-1][0], NEW, follow=True).text
    )
    answer = client.post("/sign-in/", {"username": "admin", "password": NEW["new_password1"]})
    assert answer.url == "/"


def test_the_sign_in_form_leads_there(client, db):
    for host in ("localhost", "first.localhost"):
        assert 'href="/password/"' in client.get("/sign-in/", headers={"host": host}).text


def test_a_link_ends_with_the_membership(ask, tenant, ada):
    """I1: it is a credential, too."""
    add_member(tenant, "ada", by="test")
    [mail] = ask("first.localhost", "ada@example.com")
    remove_member(tenant, "ada", by="test")
    add_member(tenant, "ada", by="test")

    _, page = open_link("first.localhost", link(mail)[1])
    assert not page.context["validlink"]


def test_a_link_works_only_once(ask):
    [mail] = ask("first.localhost", "admin@localhost")
    _, path = link(mail)
    client, page = open_link("first.localhost", path)
    client.post(page.redirect_chain[-1][0], NEW)

    again, page = open_link("first.localhost", path)

    assert "This link doesn" in page.text
    again.post(path.rsplit("/", 2)[0] + "/set-password/", {**NEW, "new_password1": "x"})
    assert authenticate(username="admin", password=NEW["new_password1"])


@pytest.mark.parametrize("host", ["localhost", "other.localhost"])
def test_a_link_of_one_host_is_worth_nothing_on_another(ask, host):
    [mail] = ask("first.localhost", "admin@localhost")
    _, path = link(mail)

    client, page = open_link(host, path)

    assert "This link doesn" in page.text
    client.post(path, NEW)
    assert authenticate(username="admin", password="password")


@pytest.mark.parametrize("email", ["other@localhost", "nobody@localhost", "x" * 60 + "@x.org"])
def test_a_stranger_gets_no_mail_and_nobody_learns_who_is_one(ask, email):
    assert ask("first.localhost", email) == []


def test_who_was_deactivated_gets_no_mail(ask, tenant):
    tenant.owner.is_active = False
    tenant.owner.save()

    assert ask("first.localhost", "admin@localhost") == []


def test_a_link_never_leads_to_a_host_of_somebody_elses(db, mailoutbox):
    page = Client().post(
        "/password/",
        {"email": "admin@localhost"},
        headers={"host": "evil.example.com", "x-forwarded-host": "first.localhost"},
    )
    assert page.status_code == 404

    Client().post(
        "/password/",
        {"email": "admin@localhost"},
        headers={"host": "first.localhost", "x-forwarded-host": "evil.example.com"},
    )
    assert [link(mail)[0] for mail in mailoutbox] == ["http://first.localhost"]


def test_a_tenants_name_is_written_as_it_is_and_adds_no_header(ask, tenant):
    Tenant.objects.filter(pk=tenant.pk).update(name="Fish & <Chips>\nBcc: evil@example.com")

    [mail] = ask("first.localhost", "admin@localhost")

    assert mail.subject == "A new password for Fish & <Chips> Bcc: evil@example.com"
    assert mail.recipients() == ["admin@localhost"]
    assert "Fish & <Chips>" in mail.body


@pytest.mark.parametrize("path", ["/password/MQ/x/", "/password/%00/x-y/", "/password/é/é/"])
def test_a_made_up_link_is_only_told_that_it_does_not_work(client, db, path):
    page = client.get(path, headers={"host": "first.localhost"})

    assert page.status_code == 200
    assert "This link doesn" in page.text


def test_a_weak_password_is_refused(ask):
    [mail] = ask("first.localhost", "admin@localhost")
    client, page = open_link("first.localhost", link(mail)[1])

    page = client.post(
        page.redirect_chain[-1][0], {"new_password1": "admin", "new_password2": "admin"}
    )

    assert "too short" in page.text
    assert get_user_model().objects.get(username="admin").check_password("password")
