"""Accounts on the main website: what django-allauth does, and what the engine adds."""

import json
import re
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from asgiref.sync import async_to_sync
from django.contrib.auth import aauthenticate, authenticate, get_user_model
from django.core.management import call_command
from django.test import Client, override_settings
from django_tenants.utils import schema_context
from tenancy.models import TenantEvent
from tenancy.people.account.forms import SignUpForm
from tenancy.people.accounts import anonymise, create_user, deactivate, reactivate
from tenancy.people.members import add_member
from tenancy.testing import TenantClient

User = get_user_model()
CODE = re.compile(r"^([A-Z0-9]{4,}(?:-[A-Z0-9]+)*)$", re.M)

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def browser():
    return Client(SERVER_NAME="localhost")


def code_in(mail):
    return CODE.search(mail.body)[1]


def sign_up(browser, email, **fields):
    data = {"email": email, "terms": "on", **fields}
    return browser.post("/account/signup/", data)


def sign_in(browser, name, password="password"):
    return browser.post("/account/login/", {"login": name, "password": password})


def confirm(browser, mail):
    return browser.post("/account/confirm-email/", {"code": code_in(mail)})


def sign_in_by_code(browser, email, mailoutbox):
    browser.post("/account/login/code/", {"email": email})
    return browser.post("/account/login/code/confirm/", {"code": code_in(mailoutbox[-1])})


def is_signed_in(browser):
    return browser.get("/account/").status_code == 200


# Sign-up


def test_a_person_signs_up_without_a_password(browser, mailoutbox, public):
    assert "password1" not in browser.get("/account/signup/").text
    sign_up(browser, "Grace@Example.com", password1="smuggled in", username="root")
    assert not is_signed_in(browser)
    [mail] = mailoutbox
    assert mail.to == ["grace@example.com"]
    assert mail.subject == f"Your code for Main Site: {code_in(mail)}"

    assert confirm(browser, mail).url == "/workspaces/new/"
    assert browser.get("/account/password/set/").status_code == 200  # isn't asked once more

    user = User.objects.get(email="grace@example.com")
    assert user.username.startswith("grace-")
    assert user.is_verified
    assert not user.has_usable_password()
    assert user in public.user_set.all()
    assert "You have none" in browser.get("/account/").text
    accepted = TenantEvent.objects.get(action="accept terms")
    assert (accepted.username, accepted.after) == (user.username, "1")


def test_terms_must_be_accepted(browser):
    page = browser.post("/account/signup/", {"email": "grace@example.com"})

    assert page.context["form"].errors["terms"]
    assert not User.objects.filter(email="grace@example.com").exists()


@override_settings(SIGN_UP=False)
def test_nobody_signs_up_where_that_is_off(browser):
    assert "by invitation" in sign_up(browser, "grace@example.com").text
    assert not User.objects.filter(email="grace@example.com").exists()


@pytest.mark.parametrize(
    ("email", "stored"),
    [("ada@bücher.example", "ada@xn--bcher-kva.example"), ("ada@[127.0.0.1]", None)],
)
def test_an_address_is_stored_as_the_model_accepts_it(browser, email, stored):
    page = sign_up(browser, email)

    assert page.status_code == (302 if stored else 200)
    assert User.objects.filter(email=stored).exists() == bool(stored)


def test_a_taken_address_looks_like_a_new_one(browser, ada, mailoutbox):
    other = Client(SERVER_NAME="localhost")
    taken, new = sign_up(browser, "ada@example.com"), sign_up(other, "grace@example.com")

    assert (taken.status_code, taken.url) == (new.status_code, new.url)
    assert "has an account already" in mailoutbox[0].body
    assert mailoutbox[0].body.count("http://localhost/account/password/reset/") == 1


def test_two_sign_ups_with_one_address_at_once_make_one_account(browser, monkeypatch):
    try_save = SignUpForm.try_save

    def after_another(form, request):
        create_user("grace", "grace@example.com")
        return try_save(form, request)

    monkeypatch.setattr(SignUpForm, "try_save", after_another)
    answer = sign_up(browser, "grace@example.com")

    assert answer.url == "/account/confirm-email/"
    assert User.objects.get(email="grace@example.com").username == "grace"


def test_an_address_that_was_never_confirmed_belongs_to_nobody(browser, mailoutbox):
    """Trap 1: what an attacker has set up is gone when the owner of the address confirms it."""
    attacker = Client(SERVER_NAME="localhost")
    sign_up(attacker, "grace@example.com")
    grace = User.objects.get(email="grace@example.com")
    grace.set_password("attack")  # however they did it
    grace.save()

    sign_in_by_code(browser, "grace@example.com", mailoutbox)

    assert is_signed_in(browser)
    attacker.get("/account/confirm-email/")
    assert not is_signed_in(attacker)
    again = Client(SERVER_NAME="localhost")
    sign_in(again, "grace@example.com", "attack")
    assert not is_signed_in(again)


# Sign-in


@pytest.mark.parametrize("name", ["admin", "ADMIN", "admin@localhost", "ADMIN@localhost"])
def test_the_owner_signs_in_with_user_name_or_email(browser, name):
    """Trap 2: the form has a password, though that for sign-up has none."""
    assert sign_in(browser, name).url == "/"
    assert is_signed_in(browser)


def test_a_client_without_an_address_signs_in(browser):
    """As behind a socket in the file system, where no proxy is trusted."""
    data = {"login": "admin", "password": "password"}
    assert browser.post("/account/login/", data, REMOTE_ADDR="").url == "/"


@pytest.mark.parametrize(
    ("page", "name"), [("login", "login"), ("signup", "email"), ("login/code", "email")]
)
def test_nul_is_an_error_of_the_form(browser, page, name):
    data = {name: "a\0b@example.com", "password": "x", "terms": "on"}
    assert browser.post(f"/account/{page}/", data).context["form"].errors[name]


@pytest.mark.parametrize(("name", "password"), [("admin", "x"), ("who", "x"), ("a@b.org", "x")])
def test_a_wrong_name_or_password_looks_the_same(browser, name, password):
    page = sign_in(browser, name, password)

    assert page.context["form"].non_field_errors() == ["The user name or the password is wrong."]


def test_a_code_allows_three_tries(browser, ada, mailoutbox):
    browser.post("/account/login/code/", {"email": "ada@example.com"})
    for _ in range(3):
        browser.post("/account/login/code/confirm/", {"code": "WRONG"})

    browser.post("/account/login/code/confirm/", {"code": code_in(mailoutbox[0])})
    assert not is_signed_in(browser)


def test_a_password_is_good_nowhere_else(tenant, public, rf):
    """I9: nothing but the sign-in page takes a password; `authenticate` alone never does."""
    for place in (tenant, public):
        with place:
            for name in ("admin", "admin@localhost"):
                credentials = {"username": name, "password": "password"}
                assert authenticate(rf.get("/"), **credentials) is None
                assert async_to_sync(aauthenticate)(rf.get("/"), **credentials) is None
    for host, path in [
        ("first.localhost", "/sign-in/"),
        ("first.localhost", "/admin/login/"),
        ("localhost", "/sign-in/"),
        ("localhost", "/admin/login/"),
    ]:
        client = Client(SERVER_NAME=host)
        client.post(path, {"username": "admin", "login": "admin", "password": "password"})
        assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize(
    ("goal", "url"),
    [
        ("/account/", "/account/"),
        ("//evil.example.com/", "/"),
        ("http://first.localhost/", "/"),
        ("https://localhost.evil.example.com/", "/"),
    ],
)
def test_sign_in_leads_to_this_host_only(browser, goal, url):
    """Trap 7: hosts of tenants are allowed hosts, but no goals."""
    data = {"login": "admin", "password": "password", "next": goal}
    assert browser.post("/account/login/", data).url == url


def test_a_new_password_is_set_with_a_code(browser, ada, mailoutbox):
    elsewhere = Client(SERVER_NAME="localhost")
    sign_in(elsewhere, "ada", "analytical engine")
    browser.post("/account/password/reset/", {"email": "ada@example.com"})
    browser.post("/account/password/reset/confirm/", {"code": code_in(mailoutbox[0])})
    new = {"password1": "difference engine", "password2": "difference engine"}
    browser.post("/account/password/reset/complete/", new)

    assert is_signed_in(browser)
    assert not is_signed_in(elsewhere)
    assert sign_in(elsewhere, "ada", "difference engine").status_code == 302


# People whom others make


def test_operators_vouch_for_those_whom_they_give_a_password(browser, mailoutbox):
    """Trap 10: neither is asked for a code."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("USERNAME", "root"),
            ("EMAIL", "root@x.org"),
            ("PASSWORD", "password"),
        ):
            patch.setenv(f"DJANGO_SUPERUSER_{name}", value)
        call_command("createsuperuser", interactive=False, verbosity=0)
    create_user("grace", "grace@example.com", "analytical engine")

    for name, password in (("root", "password"), ("grace", "analytical engine")):
        assert sign_in(browser, name, password).status_code == 302
        assert is_signed_in(browser)
        browser.post("/sign-out/")
    assert mailoutbox == []


def test_a_person_without_a_password_comes_in_by_a_code(browser, mailoutbox):
    create_user("grace", "grace@example.com")

    sign_in_by_code(browser, "grace@example.com", mailoutbox)

    assert is_signed_in(browser)
    assert len(mailoutbox) == 1
    assert EmailAddress.objects.get(email="grace@example.com").verified


def test_an_address_that_is_written_elsewhere_replaces_the_old_one(browser, ada, mailoutbox):
    """Trap 11: the old one signs nobody in, the new one asks for a code."""
    ada.email = "lovelace@example.com"
    ada.save()

    sign_in(browser, "ada@example.com", "analytical engine")
    assert not is_signed_in(browser)
    sign_in(browser, "lovelace@example.com", "analytical engine")
    assert not is_signed_in(browser)
    confirm(browser, mailoutbox[-1])
    assert is_signed_in(browser)
    ada.refresh_from_db()
    assert ada.check_password("analytical engine")


def test_nothing_is_left_of_a_person_who_is_anonymised(browser, ada):
    """Trap 12."""
    sign_in(browser, "ada", "analytical engine")
    assert UserSession.objects.filter(user=ada).exists()

    deactivate("ada", by="test")
    assert not UserSession.objects.filter(user=ada).exists()
    assert EmailAddress.objects.filter(user=ada).exists()  # they may be reactivated
    assert not is_signed_in(browser)
    anonymise("ada", by="test")
    assert not EmailAddress.objects.filter(user=ada).exists()


def test_a_person_who_is_back_signs_in_by_a_code(browser, ada, mailoutbox):
    deactivate("ada", by="test")
    assert sign_in(browser, "ada", "analytical engine").status_code == 200
    reactivate("ada", by="test")

    sign_in_by_code(browser, "ada@example.com", mailoutbox)
    assert is_signed_in(browser)


# The account


@pytest.fixture
def own(public, ada):
    """A browser that ada is signed in with."""
    browser = Client(SERVER_NAME="localhost")
    sign_in(browser, "ada", "analytical engine")
    return browser


def test_the_account_is_for_people_who_are_signed_in(browser):
    for path in ("/account/", "/account/export/", "/account/delete/", "/account/email/"):
        assert browser.get(path).status_code == 302, path


def test_a_person_changes_their_profile(own, ada):
    own.post("/account/", {"name": "Ada Lovelace", "time_zone": "Europe/London"})
    assert own.post("/account/", {"name": "x", "time_zone": "Mars"}).context["form"].errors

    ada.refresh_from_db()
    assert (ada.name, ada.time_zone) == ("Ada Lovelace", "Europe/London")


def test_a_person_changes_their_address(own, ada, mailoutbox):
    elsewhere = TenantClient(ada.tenants.get(slug="public"), ada)
    own.post("/account/email/", {"action_add": "", "email": "lovelace@example.com"})
    own.post("/account/confirm-email/", {"code": code_in(mailoutbox[-1])})
    own.post("/account/email/", {"action_primary": "", "email": "lovelace@example.com"})

    ada.refresh_from_db()
    assert ada.email == "lovelace@example.com"
    assert mailoutbox[-1].to == ["ada@example.com"]  # the old one is told
    assert is_signed_in(own)
    assert not is_signed_in(elsewhere)
    assert "this browser" in own.get("/account/sessions/").text

    own.post("/account/email/", {"action_remove": "", "email": "lovelace@example.com"})
    ada.refresh_from_db()
    assert ada.email == "lovelace@example.com"


def test_the_only_address_stays(own, ada):
    own.post("/account/email/", {"action_remove": "", "email": "ada@example.com"})

    ada.refresh_from_db()
    assert ada.email == "ada@example.com"


def test_a_person_who_signed_in_long_ago_is_asked_again(own, monkeypatch):
    assert own.get("/account/export/").status_code == 200

    clock = SimpleNamespace(time=lambda: time.time() + 301)
    monkeypatch.setattr("tenancy.people.confirmation.time", clock)
    for path in ("/account/export/", "/account/delete/"):
        assert own.get(path).url.startswith("/account/reauthenticate/"), path
    own.post("/account/reauthenticate/", {"password": "analytical engine"})
    assert own.get("/account/export/").status_code == 200


def test_the_export_has_what_the_site_knows_and_no_secret(own, ada, tenant, settings):
    with schema_context("public"):
        add_member(tenant, "ada", by="test")
    text = own.get("/account/export/").text
    data = json.loads(text)

    assert data["profile"]["email"] == "ada@example.com"
    assert data["addresses"][0]["email"] == "ada@example.com"
    [workspace] = data["workspaces"]
    assert (workspace["name"], workspace["role"]) == ("First Tenant", "member")
    assert len(data["sessions"]) == 1
    ada.refresh_from_db()
    for secret in (ada.password, own.cookies[settings.SESSION_COOKIE_NAME].value):
        assert secret not in text


def test_a_member_leaves_and_an_owner_does_not(own, ada, tenant, other_tenant):
    tenant.deactivate()
    add_member(tenant, "ada", by="test")
    type(tenant).objects.filter(pk=other_tenant.pk).update(owner=ada)
    other_tenant.add_user(ada, is_superuser=True)

    page = own.post("/account/leave/", {"slug": "first"}, follow=True).text
    assert "You have left First Tenant" in page
    page = own.post("/account/leave/", {"slug": "other"}, follow=True).text
    assert "Hand it over" in page
    assert own.post("/account/leave/", {"slug": "first"}).status_code == 404
    assert {each.slug for each in ada.tenants.all()} == {"public", "other"}


def test_a_person_deletes_their_account(own, ada, tenant):
    tenant.deactivate()
    add_member(tenant, "ada", by="test")
    assert own.post("/account/delete/", {"email": "x@example.com"}).context["form"].errors

    own.post("/account/delete/", {"email": "ada@example.com"})

    ada.refresh_from_db()
    assert (ada.is_active, ada.username) == (False, f"gone-{ada.pk}")
    assert not ada.tenants.exists()
    assert not TenantEvent.objects.filter(by="ada").exists()
    assert not is_signed_in(own)


def test_an_owner_hands_over_before_they_delete_their_account(own, ada, tenant):
    type(tenant).objects.filter(pk=tenant.pk).update(owner=ada)

    assert "First Tenant" in own.get("/account/delete/").text
    own.post("/account/delete/", {"email": "ada@example.com"})
    ada.refresh_from_db()
    assert ada.is_active


# Other pages


@pytest.mark.parametrize("host", ["localhost", "first.localhost"])
def test_a_password_manager_finds_the_page(host):
    answer = Client(SERVER_NAME=host).get("/.well-known/change-password")

    assert answer.url == "http://localhost/account/password/change/"


def test_the_main_website_says_where_to_report_a_vulnerability():
    browser = Client(SERVER_NAME="localhost")
    page = browser.get("/.well-known/security.txt")

    assert page["Content-Type"] == "text/plain; charset=utf-8"
    fields = dict(line.split(": ") for line in page.text.splitlines())
    assert fields["Contact"] == "mailto:security@localhost"
    assert fields["Canonical"] == "http://localhost/.well-known/security.txt"
    left = datetime.fromisoformat(fields["Expires"]) - datetime.now(UTC)
    assert 170 < left.days < 365


def test_nothing_else_is_well_known():
    for host, paths in {
        "localhost": ["", "security", "openid-configuration"],
        "first.localhost": ["", "security.txt"],
    }.items():
        for path in paths:
            answer = Client(SERVER_NAME=host).get(f"/.well-known/{path}")
            assert answer.status_code == 404, (host, path)


@pytest.mark.parametrize("client", ["tenant_client", "public_client"])
def test_the_admin_has_no_page_for_passwords(client, request):
    client = request.getfixturevalue(client)

    assert client.get("/admin/password_change/").url.endswith("/account/password/change/")
    client.post("/admin/logout/")
    assert client.get("/admin/", follow=False).url == "/admin/login/?next=/admin/"
    assert client.get("/admin/login/?next=/admin/").url == "/sign-in/?next=/admin/"


def test_the_admin_changes_no_row_of_the_library(public_client, tenant_client):
    for client in (public_client, tenant_client):
        page = client.get("/admin/").text
        assert "Site administration" in page
        for app in ("account", "usersessions"):
            assert f"/admin/{app}/" not in page


@pytest.mark.parametrize("slug", ["first", "public"])
def test_a_member_without_rights_gets_no_redirect_from_the_admin(tenant, public, ada, slug):
    """Trap 8: a redirect to the sign-in would come back, without end."""
    tenant.deactivate()
    add_member(tenant, "ada", by="test")
    place = tenant if slug == "first" else public
    client = TenantClient(place, ada)

    assert client.get("/admin/").status_code == 403


def development(settings):
    settings.DEBUG = True
    settings.EMAIL_BACKEND = "tenancy.emails.ConsoleBackend"


def test_development_shows_its_emails(browser, settings, tmp_path, ada, capsys):
    development(settings)
    settings.EMAIL_FILE_PATH = tmp_path

    browser.post("/account/login/code/", {"email": "ada@example.com"})

    page = browser.get("/_mail/").text
    assert "Your code for Main Site" in page
    assert "ada@example.com" in page


@pytest.mark.parametrize(
    ("changes", "extra"),
    [
        ({"DEBUG": False}, {}),
        ({"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend"}, {}),
        ({}, {"REMOTE_ADDR": "192.0.2.1"}),
        ({}, {"REMOTE_ADDR": ""}),
        ({}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}),
    ],
)
def test_nobody_else_sees_them(browser, settings, changes, extra):
    development(settings)
    assert browser.get("/_mail/").status_code == 200

    for name, value in changes.items():
        setattr(settings, name, value)
    assert browser.get("/_mail/", **extra).status_code == 404


PAGES = {
    False: ["login", "signup", "login/code", "password/reset", "inactive"],
    True: ["", "email", "password/change", "sessions", "delete", "reauthenticate"],
}


@pytest.mark.parametrize("is_own", [False, True])
def test_the_pages_are_in_the_sites_style(browser, own, is_own):
    for name in PAGES[is_own]:
        page = (own if is_own else browser).get(f"/account/{name}/".replace("//", "/")).text

        assert '<link rel="stylesheet"' in page, name
        assert 'class="brand"' in page, name
        # A Content-Security-Policy may forbid what isn't in a file.
        inline = r"<script(?![^>]*(src=|application/json))|<style|\son\w+=|\sstyle="
        assert not re.search(inline, page), name


def test_the_sessions_are_listed_and_ended_one_by_one(own, ada):
    phone = Client(SERVER_NAME="localhost", headers={"user-agent": "Chrome Safari Android"})
    sign_in(phone, "ada", "analytical engine")
    page = own.get("/account/sessions/").text
    assert "Chrome, Android" in page
    theirs = UserSession.objects.create(user=User.objects.get(username="admin"), ip="::1")
    [session] = UserSession.objects.filter(user=ada, user_agent__contains="Android")

    for pk in (theirs.pk, "x", "999999"):
        own.post("/account/sessions/", {"session": pk})
    assert UserSession.objects.filter(pk=theirs.pk).exists()
    assert is_signed_in(phone)
    own.post("/account/sessions/", {"session": session.pk})
    assert not is_signed_in(phone)
    assert is_signed_in(own)
