"""One sign-in opens every workspace: the hand-over from the main website, and attacks on it."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.models import HandOver
from tenancy.people.accounts import deactivate
from tenancy.people.handover import codes
from tenancy.people.members import add_member, remove_member
from tenancy.testing import TenantClient

from engine.browser import Browser

User = get_user_model()


def test_a_person_signs_in_once_for_all_workspaces(browser, tenant, other_tenant):
    add_member(other_tenant, "admin", by="test")

    # The first time there is a form, and then a page that goes on by itself.
    page = browser.open("http://first.localhost/sign-in/?next=/notes/")
    answer = browser.sign_in(goal=page.context["redirect_field_value"])
    page = browser.open(f"http://localhost{answer.url}")
    assert page["Referrer-Policy"] == "no-referrer"
    assert "no-store" in page["Cache-Control"]
    url = page.context["url"]
    assert f'content="0; url={url.replace("&", "&amp;")}"' in page.text
    page = browser.open(url)
    assert page.wsgi_request.path == "/notes/"

    # The second time there is none.
    page = browser.open("http://other.localhost/sign-in/?next=/notes/")
    assert page.wsgi_request.get_full_path() == "/notes/"
    assert browser.is_in("other.localhost")


def test_a_code_is_good_once(browser, settings):
    browser.sign_in()
    url = browser.code()

    assert browser.open(url).status_code == 200
    handover = HandOver.objects.get()
    browser.at("first.localhost").cookies.pop(settings.SESSION_COOKIE_NAME)
    assert browser.open(url).status_code == 400
    assert not browser.is_in()
    assert handover.code not in url  # only its digest is stored


def test_the_back_button_leads_home(browser):
    browser.sign_in()
    url = browser.code()
    browser.open(url)

    assert browser.open(url).wsgi_request.path == "/"
    assert browser.is_in()


def test_of_many_at_once_one_redeems(committed_db, settings):
    public, tenant = (Tenant.objects.get(slug=slug) for slug in ("public", "first"))
    client = Client(SERVER_NAME="localhost")
    client.post("/account/login/", {"login": "admin", "password": "password"})
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    code = codes.issue(public.owner, tenant, "first.localhost", "s", key)

    def redeem(_):
        try:
            return codes.redeem(code, tenant, "first.localhost", "s")
        finally:
            connection.close()

    try:
        with ThreadPoolExecutor(8) as pool:
            assert len([*filter(None, pool.map(redeem, range(8)))]) == 1
    finally:
        client.post("/sign-out/")


@pytest.mark.parametrize(
    "change", [{}, {"state": "x"}, {"host": "own.example.com"}, {"tenant": "other"}, {"code": "x"}]
)
def test_a_code_is_for_one_browser_host_and_tenant(browser, tenant, other_tenant, change, settings):
    browser.sign_in()
    key = browser.at("localhost").cookies[settings.SESSION_COOKIE_NAME].value
    good = {"tenant": tenant, "host": "first.localhost", "state": "s"}
    good["code"] = codes.issue(tenant.owner, website_session=key, **good)
    if "tenant" in change:
        change = {"tenant": other_tenant}

    assert bool(codes.redeem(**good | change)) == (change == {})


def test_a_code_is_for_the_browser_that_began(browser):
    browser.sign_in()
    url = browser.code()

    thief = Browser()
    assert thief.open(url).status_code == 400
    thief.open("http://first.localhost/sign-in/", until="/hand-over/")  # with a state of their own
    assert thief.open(url).status_code == 400
    assert not thief.is_in()


def test_nobody_is_signed_in_as_somebody_else(browser, ada):
    """Login CSRF: an attacker's code is worth nothing in the victim's browser."""
    add_member(Tenant.objects.get(slug="first"), "ada", by="test")
    attacker = Browser()
    attacker.sign_in("ada", "analytical engine")
    url = attacker.code()
    browser.open("http://first.localhost/sign-in/", until="/hand-over/")

    assert browser.open(url).status_code == 400
    assert not browser.is_in()


def test_a_code_is_for_one_host(browser, other_tenant):
    add_member(other_tenant, "admin", by="test")
    browser.sign_in()
    state = parse_qs(urlsplit(browser.code()).query)["state"][0]
    url = browser.code()
    other = Client(SERVER_NAME="other.localhost")
    other.cookies.update(browser.at("first.localhost").cookies)

    path = url.removeprefix("http://first.localhost")
    assert other.get(path).status_code == 400
    assert state not in path


@pytest.mark.parametrize(
    "change",
    [
        lambda browser, tenant: remove_member(tenant, "ada", by="test"),
        lambda browser, tenant: deactivate("ada", by="test"),
        lambda browser, tenant: browser.at("localhost").post("/sign-out/"),
        lambda browser, tenant: User.objects.filter(username="ada").update(session_epoch=7),
        lambda browser, tenant: HandOver.objects.update(expires="2020-01-01T00:00Z"),
    ],
    ids=["removed", "deactivated", "signed out", "another epoch", "too late"],
)
def test_a_code_is_refused_after(browser, tenant, ada, change):
    add_member(tenant, "ada", by="test")
    browser.sign_in("ada", "analytical engine")
    url = browser.code()

    change(browser, tenant)

    assert browser.open(url).status_code == 400
    assert not browser.is_in()


def test_a_suspended_workspace_says_so(browser, tenant):
    browser.sign_in()
    url = browser.open("http://first.localhost/sign-in/", until="/hand-over/")
    lifecycle.suspend(tenant, by="test")

    page = browser.open(url)
    assert page.status_code == 503
    assert "suspended" in page.text


def test_a_host_that_is_renamed_meanwhile_begins_anew(browser, tenant):
    browser.sign_in()
    url = browser.open("http://first.localhost/sign-in/", until="/hand-over/")
    lifecycle.rename(tenant, slug="premier", by="test")

    browser.open(url)
    assert browser.is_in("premier.localhost")


def test_a_domain_that_was_given_up_gets_no_code(browser, tenant):
    lifecycle.add_domain(tenant, "own.example.com", by="test")
    browser.sign_in()
    state = codes.digest("state")
    path = f"/hand-over/?host=own.example.com&state={state}"
    assert browser.at("localhost").get(path).status_code == 200

    lifecycle.remove_domain(tenant, "own.example.com", by="test")
    assert browser.at("localhost").get(path).status_code == 404
    assert not HandOver.objects.exists()


def test_a_person_lets_a_customers_domain_know_them_once(browser, tenant):
    lifecycle.add_domain(tenant, "own.example.com", by="test")
    browser.sign_in()

    page = browser.open("http://own.example.com/sign-in/")
    assert "will know that you are <strong>admin@localhost</strong>" in page.text
    assert not HandOver.objects.exists()
    page = browser.at("localhost").post(page.context["here"])
    browser.open(page.context["url"])
    assert browser.is_in("own.example.com")

    browser.at("own.example.com").cookies.clear()
    browser.open("http://own.example.com/sign-in/")
    assert browser.is_in("own.example.com")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "host=first.localhost",
        "host=first.localhost&state=x",
        "host=localhost&state={state}",
        "host=evil.example.com&state={state}",
        "host=FIRST.localhost:80&state={state}",
        "host=first.localhost%00&state={state}",
    ],
)
def test_a_damaged_request_gets_no_code(browser, query):
    browser.sign_in()
    path = f"/hand-over/?{query.format(state='a' * 64)}"

    assert browser.at("localhost").get(path).status_code == 404
    assert not HandOver.objects.exists()


@pytest.mark.parametrize(
    "goal", ["//evil.example.com/", "https://evil.example.com/", "/\\evil", ""]
)
def test_sign_in_leads_to_the_workspace_only(browser, goal):
    browser.sign_in()

    answer = browser.open(browser.code(goal=goal))
    assert answer.wsgi_request.get_host() == "first.localhost"
    assert answer.wsgi_request.path == "/"


def test_two_tabs_dont_disturb_each_other(browser):
    browser.sign_in()
    one, two = browser.code(goal="/notes/"), browser.code(goal="/admin/")

    assert browser.open(two).wsgi_request.path == "/admin/"
    assert browser.open(one).wsgi_request.path == "/notes/"


def test_tries_that_are_not_finished_leave_few_cookies(browser):
    for _ in range(12):
        browser.open("http://first.localhost/sign-in/", until="/hand-over/")
    cookies = browser.at("first.localhost").cookies.values()
    kept = [cookie for cookie in cookies if cookie.value]

    assert len(kept) <= 6
    assert all(cookie["httponly"] and cookie["samesite"] == "Lax" for cookie in kept)


def test_the_state_cookie_is_the_hosts_alone_with_tls(browser, settings):
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = True
    answer = browser.at("first.localhost").get("/sign-in/", secure=True)

    [name] = answer.cookies
    assert name.startswith("__Host-handover-")
    assert answer.cookies[name]["secure"]
    assert answer.url.startswith("https://localhost/hand-over/?")


def test_a_person_without_access_reads_which_account_they_use(browser, ada):
    browser.sign_in("ada", "analytical engine")

    page = browser.open("http://first.localhost/sign-in/")
    assert page.status_code == 403
    assert "ada@example.com" in page.text
    # “Use another account” keeps the goal.
    answer = browser.at("localhost").post("/sign-out/", {"next": page.context["here"]})
    assert "/account/login/?next=" in browser.at("localhost").get(answer.url).url


@pytest.mark.parametrize("place", ["localhost", "first.localhost"])
def test_signing_out_ends_what_was_opened_with_it(browser, other_tenant, place):
    add_member(other_tenant, "admin", by="test")
    browser.sign_in()
    for host in ("first.localhost", "other.localhost"):
        browser.open(browser.code(host))
        assert browser.is_in(host)
    elsewhere = Browser()
    elsewhere.sign_in()
    elsewhere.open(elsewhere.code())

    browser.at(place).post("/sign-out/")

    assert not browser.is_in("first.localhost")
    assert not browser.is_in("other.localhost")
    assert browser.at("localhost").get("/account/").status_code == 302
    assert elsewhere.is_in()


def test_a_session_lasts_no_longer_than_what_can_end_it(browser, tenant, settings):
    """Where its row is too old to be kept, it is over, however often it was saved since."""
    browser.sign_in()
    browser.open(browser.code())
    client = browser.at("first.localhost")
    with tenant:
        end = Session.objects.get().expire_date
        session = client.session
        session["seen"] = 0  # it is saved with the next page
        session.save()

    client.get("/notes/")

    with tenant:
        assert Session.objects.get().expire_date == end
    assert end <= HandOver.objects.get().expires + codes.MAX_AGE
    left = client.cookies[settings.SESSION_COOKIE_NAME]["max-age"]
    assert 0 < left <= settings.SESSION_COOKIE_AGE


def test_the_list_of_sessions_ends_what_they_opened(browser):
    browser.sign_in()
    browser.open(browser.code())
    elsewhere = Browser()
    elsewhere.sign_in()

    elsewhere.at("localhost").post("/account/sessions/")

    assert not browser.is_in()
    assert elsewhere.at("localhost").get("/account/").status_code == 200


def test_a_new_password_ends_all_sessions(browser):
    browser.sign_in()
    browser.open(browser.code())
    user = User.objects.get(username="admin")
    user.set_password("another")
    user.save()

    assert not browser.is_in()
    assert browser.at("localhost").get("/account/").status_code == 302


def test_codes_for_one_person_are_limited(browser):
    browser.sign_in()
    path = f"/hand-over/?host=first.localhost&state={'a' * 64}"
    answers = [browser.at("localhost").get(path).status_code for _ in range(31)]

    assert answers == [302] * 30 + [429]


def test_rows_go_when_they_are_over(browser, tenant):
    browser.sign_in()
    browser.open(browser.code())
    browser.at("first.localhost").cookies.clear()
    for _ in range(3):
        browser.code()
    assert HandOver.objects.count() == 4

    HandOver.objects.filter(used=None).update(expires="2020-01-01T00:00Z")
    browser.code()
    assert HandOver.objects.count() == 2


def test_purging_a_workspace_takes_them_along(browser, tenant):
    code = codes.issue(tenant.owner, tenant, "first.localhost", "s", "key")

    Tenant._base_manager.filter(pk=tenant.pk).delete()  # as `purge` does
    assert not HandOver.objects.filter(code=codes.digest(code)).exists()


def test_a_code_is_for_the_state_of_one_try(browser):
    """Another tab's state redeems none, and its cookie stays for its own."""
    browser.sign_in()
    one, two = (parse_qs(urlsplit(browser.code()).query) for _ in range(2))

    path = "/sign-in/finish/?code={}&state={}"
    mixed = path.format(one["code"][0], two["state"][0])
    assert browser.at("first.localhost").get(mixed).status_code == 400
    own = path.format(two["code"][0], two["state"][0])
    assert browser.at("first.localhost").get(own).status_code == 302


def test_a_code_ends_with_the_domain_that_it_is_for(browser, tenant):
    lifecycle.add_domain(tenant, "own.example.com", by="test")
    browser.sign_in()
    page = browser.open("http://own.example.com/sign-in/")
    url = browser.at("localhost").post(page.context["here"]).context["url"]

    lifecycle.remove_domain(tenant, "own.example.com", by="test")
    assert browser.open(url).status_code == 404
    other = url.replace("own.example.com", "first.localhost")
    assert browser.open(other).status_code == 400


def test_a_code_is_void_at_the_host_that_was_renamed(browser, tenant):
    browser.sign_in()
    url = browser.code()
    lifecycle.rename(tenant, slug="premier", by="test")

    assert browser.open(url).status_code == 400
    assert not browser.is_in("premier.localhost")


def test_a_person_who_comes_by_www_signs_in_without_it(browser):
    browser.sign_in()
    page = browser.go("http://www.first.localhost/sign-in/?next=/notes/")

    assert page.wsgi_request.get_host() == "first.localhost"
    assert page.wsgi_request.path == "/notes/"


def test_it_costs_few_statements(browser, django_assert_num_queries):
    browser.sign_in()
    browser.at("localhost").get("/")
    with django_assert_num_queries(1):  # that of the host
        url = browser.at("first.localhost").get("/sign-in/").url
    with django_assert_num_queries(9):  # two look up hosts, in a test's transaction only
        url = browser.at("localhost").get(url.removeprefix("http://localhost")).url

    with django_assert_num_queries(16):  # one is the line in the workspace's history
        browser.at("first.localhost").get(url.removeprefix("http://first.localhost"))


def test_a_session_that_was_handed_over_costs_a_page_no_query_more(
    browser, tenant, django_assert_num_queries
):
    browser.sign_in()
    browser.open(browser.code())
    plain = TenantClient(tenant, tenant.owner)
    for client in (browser.at("first.localhost"), plain):
        client.get("/notes/")
        # The host is looked up, in a test's transaction only. Then: session, person, notes.
        with django_assert_num_queries(4):
            client.get("/notes/")
