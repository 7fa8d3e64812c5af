"""People sign in with providers: who gets in, who doesn't, and what is kept of it."""

import json
import re
import time
from types import SimpleNamespace
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.checks import run_checks
from django.test import Client, override_settings
from tenancy.models import TenantEvent
from tenancy.people.account.export import data_of
from tenancy.people.accounts import anonymise, create_user, deactivate, end_sessions
from tenancy.people.members import add_member
from tenancy.people.social import providers

from engine.social.provider import Provider

User = get_user_model()
CODE = re.compile(r"^([A-Z0-9]{4,}(?:-[A-Z0-9]+)*)$", re.M)
REFRESH = re.compile(r'http-equiv="refresh" content="0; url=([^"]+)"')
CONNECTIONS = "/account/3rdparty/"
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(scope="session")
def server():
    server = Provider()
    yield server
    server.close()


@pytest.fixture
def provider(server, settings):
    server.faults.clear()
    server.asked.clear()
    url = f"http://client:s3cret@{server.address}/?name=Example"
    settings.SOCIALACCOUNT_PROVIDERS = providers.configured(oidc=url)
    return server


class Browser(Client):
    def __init__(self, provider):
        super().__init__(SERVER_NAME="localhost")
        self.provider = provider
        self.login_url = f"/account/oidc/{provider.address.replace(':', '-')}/login/"

    def leave(self, goal="", process="login"):
        """Press the button; return the address at the provider."""
        return self.post(f"{self.login_url}?process={process}&next={goal}").context["url"]

    def sign_in_with(self, sub="1", goal="", process="login", **claims):
        url = self.leave(goal, process)
        back = self.provider.sign_in(url, sub=sub, **claims)
        return self.get(back.removeprefix("http://localhost"))

    def sign_up_with(self, email, *, verified=True, goal="", sub="1", typed=""):
        page = self.sign_in_with(sub, goal, email=email, email_verified=verified)
        assert page.url == f"{CONNECTIONS}signup/"
        return self.post(page.url, {"terms": "on", "email": typed or email})

    def sign_in(self, name, password):
        return self.post("/account/login/", {"login": name, "password": password})

    @property
    def person(self):
        page = self.get("/account/")
        return page.context["user"].email if page.status_code == 200 else None


@pytest.fixture
def browser(provider):
    return Browser(provider)


@pytest.fixture
def other(provider):
    return Browser(provider)


@pytest.fixture
def own(browser, ada):
    """A browser that ada is signed in with."""
    browser.sign_in("ada", "analytical engine")
    return browser


def code_in(mail):
    return CODE.search(mail.body)[1]


# Sign-up


def test_a_person_signs_up_with_an_address_that_the_provider_has_confirmed(
    browser, mailoutbox, public
):
    page = browser.sign_in_with(
        "1", "/account/sessions/", email="Grace@Example.com", email_verified=True, name="Grace"
    )
    form = browser.get(page.url)
    assert "grace@example.com" in form.text
    assert "email" not in form.context["form"].fields
    assert browser.post(page.url, {}).context["form"].errors["terms"]
    assert browser.person is None

    answer = browser.post(page.url, {"terms": "on", "email": "smuggled@example.com"})

    assert answer.url == "/account/sessions/"
    assert browser.person == "grace@example.com"
    assert mailoutbox == []
    user = User.objects.get(email="grace@example.com")
    assert user.username.startswith("grace-")
    assert (user.name, user.is_verified) == ("Grace", True)
    assert not user.has_usable_password()
    assert user in public.user_set.all()
    accepted = TenantEvent.objects.get(action="accept terms")
    assert (accepted.username, accepted.after) == (user.username, "1")
    assert [*user.emailaddress_set.values_list("email", "verified", "primary")] == [
        ("grace@example.com", True, True)
    ]


def test_the_next_time_they_are_in_at_once(browser, other):
    browser.sign_up_with("grace@example.com")

    assert other.sign_in_with(goal="/account/sessions/").url == "/account/sessions/"
    assert other.person == "grace@example.com"


def test_of_two_forms_of_one_person_the_first_counts(browser, other):
    told = {"email": "grace@example.com", "email_verified": True}
    pages = [each.sign_in_with(**told) for each in (browser, other)]
    answers = [
        browser.post(pages[0].url, {"terms": "on"}),
        other.post(pages[1].url, {"terms": "on"}),
    ]

    assert [answer.url for answer in answers] == ["/workspaces/new/", "/account/login/"]
    assert User.objects.filter(email="grace@example.com").count() == 1


def test_it_leads_into_the_workspace_where_the_person_began(own, other, ada, outside):
    add_member(outside, "ada", by="test")
    own.sign_in_with("7", process="connect")
    there = Client(SERVER_NAME="first.localhost").get("/sign-in/").url
    page = other.get(there.removeprefix("http://localhost"))
    goal = parse_qs(urlsplit(page.url).query)["next"][0]

    answer = other.sign_in_with("7", quote(goal))

    assert answer.url == goal
    url = other.get(goal).context["url"]
    assert url.startswith("http://first.localhost/sign-in/finish/?code=")


def test_another_person_of_the_same_provider_is_another(browser, other):
    browser.sign_up_with("grace@example.com")

    assert other.sign_in_with("2").url == f"{CONNECTIONS}signup/"


def test_an_address_that_the_provider_has_not_confirmed_needs_a_code(browser, mailoutbox, other):
    answer = browser.sign_up_with(
        "grace@example.com", verified=False, typed="hopper@example.com", goal="/account/sessions/"
    )
    assert answer.url == "/account/confirm-email/"
    assert browser.person is None
    [mail] = mailoutbox
    assert mail.to == ["hopper@example.com"]

    answer = browser.post("/account/confirm-email/", {"code": code_in(mail)})

    assert answer.url == "/account/sessions/"
    assert browser.person == "hopper@example.com"
    assert User.objects.get(email="hopper@example.com").emailaddress_set.count() == 1
    other.sign_in_with()
    assert other.person == "hopper@example.com"  # the connection is kept


def test_a_connection_of_another_browser_ends_when_the_address_is_confirmed(
    browser, other, mailoutbox
):
    """An attacker signs up with their own account at the provider, and the victim's address."""
    browser.sign_up_with("grace@example.com", verified=False)
    other.post("/account/login/code/", {"email": "grace@example.com"})
    other.post("/account/login/code/confirm/", {"code": code_in(mailoutbox[-1])})
    assert other.person == "grace@example.com"

    browser.get("/account/confirm-email/")
    assert browser.person is None
    assert not SocialAccount.objects.exists()
    assert browser.sign_in_with("1").url == f"{CONNECTIONS}signup/"


def test_a_provider_that_tells_no_address_is_enough(browser, mailoutbox):
    page = browser.sign_in_with("1")
    browser.post(page.url, {"terms": "on", "email": "grace@example.com"})
    browser.post("/account/confirm-email/", {"code": code_in(mailoutbox[0])})

    assert browser.person == "grace@example.com"


@override_settings(SIGN_UP=False)
def test_nobody_signs_up_where_that_is_off(browser):
    page = browser.sign_in_with(email="grace@example.com", email_verified=True)

    assert "by invitation" in page.text
    assert not User.objects.filter(email="grace@example.com").exists()


@override_settings(SIGN_UP=False)
def test_who_was_invited_signs_up_with_the_provider_all_the_same(browser, mailoutbox):
    grace = create_user("grace", "grace@example.com")

    browser.sign_up_with("grace@example.com")

    assert browser.person == "grace@example.com"
    grace.refresh_from_db()
    assert grace.is_verified
    assert EmailAddress.objects.get(user=grace).verified
    assert TenantEvent.objects.filter(action="accept terms", username="grace").exists()
    assert mailoutbox == []


def test_what_was_set_up_before_the_provider_confirmed_the_address_is_gone(browser, other):
    other.post("/account/signup/", {"email": "grace@example.com", "terms": "on"})
    grace = User.objects.get(email="grace@example.com")
    grace.set_password("attack")
    grace.save()
    SocialAccount.objects.create(user=grace, provider=browser.provider.address, uid="666")

    browser.sign_up_with("grace@example.com")

    assert browser.person == "grace@example.com"
    grace.refresh_from_db()
    assert not grace.has_usable_password()
    assert [*grace.socialaccount_set.values_list("uid", flat=True)] == ["1"]
    other.get("/account/confirm-email/")
    assert other.person is None


# People with an account


def test_the_providers_word_opens_no_account(browser, ada):
    page = browser.sign_in_with(email="ada@example.com", email_verified=True)

    assert "You have an account already" in page.text
    assert browser.get(f"{CONNECTIONS}signup/").url == "/account/login/"
    assert browser.person is None
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("verified", [True, False])
def test_nor_does_it_open_one_with_that_address_besides(browser, ada, verified):
    EmailAddress.objects.create(user=ada, email="lovelace@example.com", verified=verified)

    page = browser.sign_in_with(email="lovelace@example.com", email_verified=True)

    assert "You have an account already" in page.text


def test_an_invited_row_is_not_taken_over_if_somebody_else_has_its_address(browser, ada):
    create_user("grace", "grace@example.com")
    EmailAddress.objects.create(user=ada, email="grace@example.com", verified=True)

    page = browser.sign_in_with(email="grace@example.com", email_verified=True)

    assert "You have an account already" in page.text


def test_an_unconfirmed_address_tells_nothing_about_accounts(browser, other, ada, mailoutbox):
    taken = browser.sign_up_with("ada@example.com", verified=False)
    new = other.sign_up_with("bob@example.com", verified=False, sub="2")

    assert (taken.status_code, taken.url) == (new.status_code, new.url)
    assert "has an account already" in mailoutbox[0].body
    assert not SocialAccount.objects.filter(user=ada).exists()


def test_a_person_connects_and_disconnects(own, other, ada, mailoutbox):
    page = own.sign_in_with("7", process="connect", email="else@example.org", email_verified=True)
    assert page.url == CONNECTIONS
    page = own.get(CONNECTIONS).text
    assert "You can sign in with Example now" in page
    assert "else@example.org" in page
    assert "Example" in own.get("/account/").text
    assert mailoutbox[0].subject == "Example is connected with your account"
    assert [*EmailAddress.objects.filter(user=ada).values_list("email", flat=True)] == [ada.email]

    other.sign_in_with("7", email="else@example.org", email_verified=True)
    assert other.person == "ada@example.com"

    ada.set_unusable_password()
    ada.save()
    other.sign_in_with("7")
    connection = SocialAccount.objects.get()
    # The provider may have asked for nothing.
    answer = other.post(CONNECTIONS, {"account": connection.pk})
    assert answer.url.startswith("/account/reauthenticate/code/")
    other.post("/account/reauthenticate/code/", {"recipient": ada.email})
    other.post("/account/reauthenticate/code/confirm/", {"code": code_in(mailoutbox[-1])})
    answer = other.post(CONNECTIONS, {"account": connection.pk}, follow=True)
    assert "Removed." in answer.text
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("has_keys", [True, False])
def test_the_other_sessions_end_with_a_connection(own, other, ada, has_keys):
    """Another person may have opened them by it."""
    own.sign_in_with("7", process="connect")
    other.sign_in_with("7")
    assert other.person == "ada@example.com"
    if not has_keys:
        SocialAccount.objects.update(provider="gone.example.com")

    own.post(CONNECTIONS, {"account": SocialAccount.objects.get().pk})

    assert (own.person, other.person) == ("ada@example.com", None)


def test_a_second_factor_is_asked_for_after_the_provider(own, other, ada):
    own.sign_in_with("7", process="connect")
    TOTP.activate(ada, SECRET)

    page = other.sign_in_with("7", "/account/sessions/")

    assert page.url == "/account/2fa/authenticate/"
    assert other.person is None
    code = format_hotp_value(hotp_value(SECRET, int(time.time()) // 30))
    assert other.post(page.url, {"code": code}).url == "/account/sessions/"
    assert other.person == "ada@example.com"


def test_to_connect_and_disconnect_asks_again_who_signed_in_long_ago(own, other, ada, monkeypatch):
    other.sign_in("ada", "analytical engine")
    clock = SimpleNamespace(time=lambda: time.time() + 301)
    monkeypatch.setattr("tenancy.people.confirmation.time", clock)

    page = own.sign_in_with("7", process="connect")
    assert page.url == "/account/reauthenticate/"
    assert not SocialAccount.objects.exists()
    own.post("/account/reauthenticate/", {"password": "analytical engine"})
    connection = SocialAccount.objects.get()
    assert connection.user == ada

    page = other.post(CONNECTIONS, {"account": connection.pk})
    assert page.url.startswith("/account/reauthenticate/")
    assert SocialAccount.objects.exists()


def test_a_connection_is_one_persons(browser, own, public):
    other = Browser(browser.provider)
    other.sign_up_with("grace@example.com", sub="7")

    page = own.get(own.sign_in_with("7", process="connect").url)

    assert "is connected with another account" in page.text
    assert SocialAccount.objects.get().user.email == "grace@example.com"


def test_nobody_connects_without_being_signed_in(browser):
    page = browser.sign_in_with("7", process="connect")

    assert browser.get(page.url).url.startswith("/sign-in/")
    assert not SocialAccount.objects.exists()


def test_a_connection_whose_provider_has_no_keys_any_more_can_be_removed(own, ada):
    connection = SocialAccount.objects.create(user=ada, provider="gone.example.com", uid="1")
    assert "gone.example.com" in own.get(CONNECTIONS).text
    assert "gone.example.com" in own.get("/account/").text

    own.post(CONNECTIONS, {"account": connection.pk})

    assert not SocialAccount.objects.exists()


def test_a_deactivated_person_does_not_get_in(browser, other):
    browser.sign_up_with("grace@example.com")
    User.objects.filter(email="grace@example.com").update(is_active=False)

    other.sign_in_with()

    assert other.person is None


# Attacks and faults


def test_the_answer_is_for_the_browser_that_left(browser, other):
    url = browser.leave()
    back = browser.provider.sign_in(url, sub="1").removeprefix("http://localhost")

    page = other.get(back)
    assert page.status_code == 400
    assert "Example couldn't sign you in" in page.text
    assert browser.get(back).status_code == 302
    assert browser.get(back).status_code == 400  # good once


def test_to_leave_takes_a_press_of_a_button(browser):
    client = Client(SERVER_NAME="localhost", enforce_csrf_checks=True)
    page = client.get(browser.login_url)
    assert "Continue with Example?" in page.text
    assert client.post(browser.login_url).status_code == 403
    assert client.head(browser.login_url).status_code == 405
    assert browser.provider.asked == []


def test_the_answer_to_the_button_is_a_page_that_goes_on(browser):
    """Because form-action of a Content-Security-Policy stops redirects to other hosts."""
    page = browser.post(f"{browser.login_url}?next=/account/")

    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    url = REFRESH.search(page.text)[1].replace("&amp;", "&")
    asked = parse_qs(urlsplit(url).query)
    assert url.startswith(f"{browser.provider.url}/authorize?")
    assert asked["redirect_uri"] == [f"http://localhost{browser.login_url}callback/"]


@pytest.mark.parametrize("goal", ["https://evil.example.com/", "http://first.localhost/"])
def test_the_way_back_leads_to_this_host_only(browser, goal):
    assert browser.sign_up_with("grace@example.com", goal=goal).url == "/workspaces/new/"


def test_who_refuses_is_led_back(browser):
    back = browser.provider.sign_in(browser.leave("/account/sessions/"))
    page = browser.get(back.removeprefix("http://localhost"))

    assert page.status_code == 200
    assert "sign in with Example" in page.text
    assert page.context["login_url"] == "/account/login/?next=%2Faccount%2Fsessions%2F"


JUNK = [
    (500, ""),
    (200, "<html>"),
    (200, "[]"),
    (200, "{}"),
    (200, '"text"'),
    (200, "17"),
    (200, '{"access_token": [], "id_token": "x", "sub": {}}'),
    (200, '{"access_token": "x", "expires_in": "soon"}'),
    (200, '{"access_token": "x", "expires_in": 1e99}'),
    (200, '{"sub": ""}'),
    (200, '{"sub": null, "email": 17}'),
    (200, json.dumps({"sub": "1" * 500})),
    (200, '{"sub": "a\\u0000b"}'),
]


@pytest.mark.parametrize("fault", JUNK)
@pytest.mark.parametrize("place", ["discovery", "token", "userinfo"])
def test_a_provider_that_answers_with_junk_makes_one_plain_page(browser, place, fault, caplog):
    url = browser.leave()
    back = browser.provider.sign_in(url, sub="1").removeprefix("http://localhost")
    browser.provider.faults[place] = fault

    pages = [browser.get(back)]
    if place == "discovery":
        pages.append(browser.post(browser.login_url))

    for page in pages:
        assert page.status_code == 503
        assert "Example couldn't sign you in" in page.text
    lines = [
        record
        for record in caplog.records
        if "Sign-in with Example failed" in record.msg % record.args
    ]
    assert len(lines) == len(pages)
    assert not any(record.exc_info for record in lines)


def test_a_provider_that_is_away_makes_one_plain_page(browser, settings):
    settings.SOCIALACCOUNT_PROVIDERS = providers.configured(
        oidc="http://a:b@127.0.0.1:1/?name=Away"
    )
    page = browser.post("/account/oidc/127.0.0.1-1/login/")

    assert page.status_code == 503
    assert "Away couldn't sign you in" in page.text


def test_answers_about_two_people_are_refused(browser):
    url = browser.leave()
    back = browser.provider.sign_in(url, sub="1").removeprefix("http://localhost")
    browser.provider.faults["userinfo"] = (200, {"sub": "2"})

    assert browser.get(back).status_code == 503


def test_a_fault_of_the_site_is_not_the_providers(browser, monkeypatch):
    def fail(self, request, sociallogin):
        raise ValueError("ours")

    monkeypatch.setattr(
        "tenancy.people.social.adapter.SocialAccountAdapter.is_open_for_signup", fail
    )
    with pytest.raises(ValueError, match="ours"):
        browser.sign_in_with()


def test_providers_are_not_asked_without_end(browser, settings):
    settings.TENANCY_RATES = {"provider": "2/1m"}

    statuses = [browser.post(browser.login_url).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_unknown_pages_do_not_exist(browser, settings):
    assert browser.post("/account/oidc/nobody/login/").status_code == 404
    assert browser.get("/account/oidc/nobody/login/callback/").status_code == 404
    assert browser.post("/account/google/login/").status_code == 404  # has no keys here

    settings.SOCIALACCOUNT_PROVIDERS = providers.configured(google="a:b")
    assert browser.post("/account/google/login/").status_code == 200
    assert browser.post("/account/google/login/token/").status_code == 404


# Google


def test_a_person_signs_up_with_google(browser, settings, server, monkeypatch):
    settings.SOCIALACCOUNT_PROVIDERS = providers.configured(google="client:s3cret")
    views = "allauth.socialaccount.providers.google.views"
    monkeypatch.setattr(f"{views}.ID_TOKEN_ISSUER", server.url)
    for name, page in (("authorize_url", "authorize"), ("access_token_url", "token")):
        monkeypatch.setattr(f"{views}.GoogleOAuth2Adapter.{name}", f"{server.url}/{page}")
    browser.login_url = "/account/google/login/"
    names = {"given_name": "Grace", "family_name": "Hopper"}

    page = browser.sign_in_with(email="grace@example.com", email_verified=True, **names)
    browser.post(page.url, {"terms": "on"})

    assert browser.person == "grace@example.com"
    assert User.objects.get(email="grace@example.com").name == "Grace Hopper"
    assert SocialAccount.objects.get().provider == "google"


# What is kept


def test_no_token_is_kept_and_little_else(browser):
    page = browser.sign_in_with(
        email="grace@example.com", email_verified=True, name="Grace", picture="https://p.example"
    )
    [session] = Session.objects.all()
    assert not any(token in str(session.get_decoded()) for token in browser.provider.tokens)
    browser.post(page.url, {"terms": "on"})

    assert not SocialToken.objects.exists()
    assert SocialAccount.objects.get().extra_data == {"email": "grace@example.com", "name": "Grace"}


def test_the_export_names_connections(browser):
    browser.sign_up_with("grace@example.com")

    [found] = data_of(User.objects.get(email="grace@example.com"))["connections"]
    assert found["email"] == "grace@example.com"
    assert found["provider"] == browser.provider.address.replace(":", "-")


def test_connections_end_with_the_account_and_not_with_sessions(browser):
    browser.sign_up_with("grace@example.com")
    end_sessions("grace@example.com", by="test")
    assert browser.person is None
    assert SocialAccount.objects.exists()

    deactivate("grace@example.com", by="test")
    assert not SocialAccount.objects.exists()
    anonymise("grace@example.com", by="test")
    assert browser.sign_in_with().url == f"{CONNECTIONS}signup/"


# Settings


def test_the_project_passes_its_checks():
    assert run_checks(tags=["tenants", "database"], databases=["default"]) == []


@pytest.mark.parametrize("name", ["SOCIALACCOUNT_ADAPTER", "SOCIALACCOUNT_FORMS"])
def test_the_rules_are_not_forgotten(settings, name):
    delattr(settings, name)

    assert [message.id for message in run_checks(tags=["tenants"])] == ["tenancy.E012"]


def test_no_admin_shows_connections_and_keys(public_client):
    assert "socialaccount" not in public_client.get("/admin/").text
    assert public_client.get("/admin/socialaccount/socialapp/").status_code == 404


def test_the_pages_have_a_button_for_each_provider(browser, settings):
    settings.SOCIALACCOUNT_PROVIDERS |= providers.configured(google="a:b")

    for page in ("login", "signup"):
        text = browser.get(f"/account/{page}/?next=/account/sessions/").text
        assert "Continue with Google" in text
        assert "Continue with Example" in text
        assert "next=%2Faccount%2Fsessions%2F" in text
