"""A page that changes something grave asks for a fresh confirmation, at the main website."""

import time
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.http import HttpResponse
from django.urls import include, path
from tenancy import lifecycle
from tenancy.models import HandOver
from tenancy.people import confirmation
from tenancy.people.accounts import create_user
from tenancy.people.confirmation import confirmed, last_confirmation
from tenancy.people.members import add_member
from tenancy.testing import TenantClient, sign_in

from engine.test_accounts import code_in
from engine.test_mfa import SECRET, code_of

GRAVE = "http://first.localhost/grave/"


@confirmed(minutes=10)
def grave(request):
    method = last_confirmation(request).method
    return HttpResponse(f"{request.method} by {request.user}, who has confirmed by {method}")


def form(request):
    return HttpResponse()


urlpatterns = [
    path("grave/", grave),
    path("form/", form),
    path("", include("server.urls")),
]


PUBLIC = (path("grave/", grave), path("", include("server.urls_public")))


@pytest.fixture(autouse=True)
def _pages(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def later(monkeypatch):
    """Let so many minutes pass, as far as confirmations can tell."""

    def later(minutes):
        clock = SimpleNamespace(time=lambda: time.time() + minutes * 60)
        monkeypatch.setattr(confirmation, "time", clock)

    return later


def is_asked(browser):
    return browser.at("first.localhost").get("/grave/").status_code == 302


def reauthenticate(browser, page, **data):
    """Fill in the form that the main website shows, and go on."""
    assert page.wsgi_request.path == "/account/reauthenticate/"
    data |= {"next": page.context["redirect_field_value"]}
    answer = browser.website("reauthenticate/", **data)
    return browser.go(f"http://localhost{answer.url}") if answer.status_code == 302 else answer


def test_a_person_who_is_signed_in_confirms_and_is_back_on_the_page(browser, later):
    browser.sign_in()
    browser.go(browser.code())
    later(11)

    page = reauthenticate(browser, browser.open(f"{GRAVE}?a=b"), password="password")

    assert page.text == "GET by admin, who has confirmed by password"
    assert page.wsgi_request.get_full_path() == "/grave/?a=b"
    assert not is_asked(browser)
    later(22)
    assert is_asked(browser)


def test_a_wrong_password_confirms_nothing(browser, later):
    browser.sign_in()
    browser.go(browser.code())
    later(11)

    page = reauthenticate(browser, browser.open(GRAVE), password="guess")

    assert page.context["form"].errors
    assert is_asked(browser)
    assert browser.open(GRAVE).wsgi_request.path == "/account/reauthenticate/"


def test_a_person_who_has_just_signed_in_is_not_asked_again(browser):
    browser.sign_in()
    browser.go(browser.code())

    assert browser.at("first.localhost").post("/grave/").text.startswith("POST by admin")


def test_a_visitor_signs_in_for_it(browser):
    page = browser.open(GRAVE)
    answer = browser.sign_in(goal=page.context["redirect_field_value"])

    assert browser.go(f"http://localhost{answer.url}").text.startswith("GET by admin")


def test_a_person_who_has_forgotten_the_password_is_back_on_the_page(browser, mailoutbox, later):
    browser.sign_in()
    browser.go(browser.code())
    later(11)
    browser.open(GRAVE)
    browser.website("password/reset/", email="admin@localhost")
    browser.website("password/reset/confirm/", code=code_in(mailoutbox[-1]))
    new = {"password1": "difference engine", "password2": "difference engine"}
    answer = browser.website("password/reset/complete/", **new)

    page = browser.go(f"http://localhost{answer.url}")
    assert page.text == "GET by admin, who has confirmed by password_reset"


def test_a_person_without_a_password_confirms_by_a_code(browser, tenant, mailoutbox, later):
    create_user("grace", "grace@example.com")
    add_member(tenant, "grace", by="test")
    browser.website("login/code/", email="grace@example.com")
    browser.website("login/code/confirm/", code=code_in(mailoutbox[-1]))
    later(11)

    page = browser.open(GRAVE)
    goal = page.context["redirect_field_value"]
    browser.website("reauthenticate/code/", recipient="grace@example.com", next=goal)
    code = code_in(mailoutbox[-1])
    answer = browser.website("reauthenticate/code/confirm/", code=code, next=goal)

    page = browser.go(f"http://localhost{answer.url}")
    assert page.text == "GET by grace, who has confirmed by code"


def test_a_person_with_a_second_factor_confirms_by_it(browser, tenant, later):
    TOTP.activate(tenant.owner, SECRET)
    page = browser.open(GRAVE)
    goal = page.context["redirect_field_value"]
    browser.sign_in(goal=goal)
    answer = browser.website("2fa/authenticate/", code=code_of(), next=goal)
    assert browser.go(f"http://localhost{answer.url}").text.endswith("by mfa")
    later(11)

    page = browser.open(GRAVE)
    assert page.wsgi_request.path == "/account/2fa/reauthenticate/"
    goal = page.context["redirect_field_value"]
    answer = browser.website("2fa/reauthenticate/", code=code_of(steps=1), next=goal)
    assert browser.go(f"http://localhost{answer.url}").text.endswith("by mfa")


@pytest.fixture
def by_provider(monkeypatch):
    """Let the next sign-in be one by another provider."""

    def by_provider():
        records = "tenancy.people.account.adapter.get_authentication_records"
        monkeypatch.setattr(records, lambda *args: [{"method": "socialaccount"}])

    return by_provider


def test_a_provider_may_have_asked_for_nothing(browser, by_provider):
    by_provider()
    browser.sign_in()

    assert browser.open(GRAVE).wsgi_request.path == "/account/reauthenticate/"


def test_the_time_is_the_main_websites(browser, later):
    """It isn't when the workspace has asked, or when the code was redeemed."""
    browser.sign_in()
    later(9)
    browser.go(GRAVE)
    assert not is_asked(browser)

    later(11)
    assert is_asked(browser)


def test_a_code_without_a_confirmation_ends_the_earlier_one(browser, by_provider, later):
    browser.sign_in()
    browser.go(GRAVE)
    assert not is_asked(browser)
    browser.at("localhost").cookies.clear()
    by_provider()
    browser.sign_in()
    later(11)
    url = browser.open("http://first.localhost/sign-in/?fresh=10", until="/hand-over/")
    browser.go(url.replace("fresh=10", ""))
    later(0)

    assert browser.is_in()
    assert is_asked(browser)
    assert HandOver.objects.latest("pk").confirmed is None


@pytest.mark.parametrize(
    ("referer", "goal"),
    [
        ("http://first.localhost/form/?a=b", "/form/?a=b"),
        ("http://evil.example.com/form/", "/grave/?c=d"),
        ("", "/grave/?c=d"),
    ],
)
def test_a_form_that_comes_too_late_changes_nothing_and_says_so(browser, later, referer, goal):
    browser.sign_in()
    browser.go(browser.code())
    later(11)
    page = browser.at("first.localhost").post("/grave/?c=d", headers={"referer": referer})

    assert page.status_code == 403
    assert "Nothing was changed" in page.text
    assert "POST by" not in page.text
    page = browser.open(f"http://first.localhost{page.context['url']}")
    page = reauthenticate(browser, page, password="password")
    assert page.wsgi_request.get_full_path() == goal
    assert browser.at("first.localhost").post("/grave/").text.startswith("POST by admin")


@pytest.mark.parametrize("path", ["data/export/", "domains/primary/", "keys/1/revoke/"])
def test_a_link_to_where_a_form_goes_leads_to_the_forms_page(tenant_client, path):
    """As after a confirmation, from a browser that doesn't tell the form's page."""
    page = tenant_client.get(f"/workspace/{path}")

    assert page.url == f"/workspace/{path.split('/')[0]}/"


def test_a_person_without_access_is_not_asked(browser, ada, later):
    browser.sign_in("ada", "analytical engine")
    later(11)

    assert browser.open(GRAVE).status_code == 403


def test_a_customers_domain_is_told_too(browser, tenant, later):
    lifecycle.add_domain(tenant, "own.example.com", by="test")
    browser.sign_in()
    later(11)

    page = browser.open("http://own.example.com/grave/")
    page = reauthenticate(browser, page, password="password")
    page = browser.at("localhost").post(page.context["here"])
    assert browser.open(page.context["url"]).text.startswith("GET by admin")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("x", "1"), ("", "1"), ("0", "1"), ("-5", "1"), ("²", "1"), ("15", "15"), ("9" * 9, "1")],
)
def test_whatever_is_asked_for_is_a_number_of_minutes(browser, text, minutes):
    answer = browser.at("first.localhost").get("/sign-in/", {"fresh": text})

    assert parse_qs(urlsplit(answer.url).query)["fresh"] == [minutes]


def test_a_view_without_a_minute_to_confirm_in_is_refused():
    with pytest.raises(ValueError, match="a minute or more"):
        confirmed(minutes=0)


def test_a_page_of_the_main_website_asks_too(browser, settings, later):
    settings.PUBLIC_SCHEMA_URLCONF = PUBLIC
    browser.sign_in()
    assert browser.at("localhost").get("/grave/").text.startswith("GET by admin")
    later(11)

    answer = browser.at("localhost").post("/grave/")
    answer = browser.at("localhost").post(answer.url, {"password": "password"})
    assert answer.text.startswith("POST by admin")


def test_clients_of_tests_have_confirmed(tenant):
    client = TenantClient(tenant, tenant.owner)
    assert client.get("/grave/").status_code == 200

    client = TenantClient(tenant)
    sign_in(client, tenant.owner, confirmed=False)
    assert client.get("/grave/").status_code == 302
