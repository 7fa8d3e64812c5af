"""A workspace's history: its owner and admins read it, and nobody there can change it."""

import csv
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from tenancy import lifecycle
from tenancy.csv_files import harmless
from tenancy.history import KEPT, prune, record
from tenancy.models import FailedSignIn, HandOver, TenantEvent
from tenancy.people import accounts
from tenancy.people.account.export import data_of
from tenancy.people.invitations import invite
from tenancy.people.members import add_member, change_role, remove_member
from tenancy.states import TRANSITIONS
from tenancy.testing import TenantClient
from tenancy.workspace.history import sentences, views

from engine.browser import Browser

User = get_user_model()
URL = "/workspace/history/"
CSV = f"{URL}csv/"


@pytest.fixture
def admin(tenant, ada):
    """The client of an admin who isn't the owner."""
    add_member(tenant, "ada", "admin", by="manage.py")
    return TenantClient(tenant, ada)


def texts(page):
    return [line.text for line in page.context["lines"]]


def rows(client, query=""):
    text = b"".join(client.get(f"{CSV}{query}").streaming_content).decode()
    return [*csv.DictReader(StringIO(text))]


def test_each_line_is_a_sentence(admin, tenant, ada, public):
    invite(tenant, "grace@example.com", "member", ada)
    accounts.create_user("bob", "bob@example.com")
    add_member(tenant, "bob", by="ada")
    change_role(tenant, "bob", "admin", by="ada")
    remove_member(tenant, "bob", by="ada")
    lifecycle.rename(tenant, by="ada", name="Premier")
    lifecycle.add_domain(tenant, "own.example.com", by="ada")
    lifecycle.remove_domain(tenant, "own.example.com", by="ada")
    lifecycle.change(tenant, by="ada", name="Last")
    lifecycle.suspend(tenant, by="manage.py")
    lifecycle.resume(tenant, by="grace")
    record("send invoice", tenant, "ada", before="draft", after="No. 7 (100%)")

    page = admin.get(URL)

    assert texts(page)[:13] == [
        "ada: send invoice, draft → No. 7 (100%)",
        "grace opened the workspace again.",
        "Main Site suspended the workspace.",
        "ada changed the name from “Premier” to “Last”.",
        "ada removed the domain own.example.com.",
        "ada added the domain own.example.com.",
        "ada changed the name or the address from First Tenant (first, first.localhost) to Premier"
        " (first, first.localhost).",
        "ada ended the membership of bob.",
        "ada changed the role of bob from Member to Admin.",
        "ada added bob as Member.",
        "ada invited grace@example.com as Member.",
        "Main Site added ada as Admin.",
        "admin made the workspace.",
    ]
    assert 'href="/workspace/history/"' in admin.get("/workspace/people/").text


def test_every_action_of_a_tenant_has_a_sentence_or_is_the_operators():
    logged = {name for name, transition in TRANSITIONS.items() if transition.signal}
    assert not logged - {*sentences.all_sentences(), *sentences.HIDDEN}


def test_what_is_the_operators_is_not_shown(admin, tenant, settings):
    before = texts(admin.get(URL))
    for action in sentences.HIDDEN:
        record(action, tenant, "grace", after="x")
    record("change", tenant, "grace", before="organization: A", after="organization: B")

    assert texts(admin.get(URL)) == before


def test_a_project_says_its_own_actions(admin, tenant, settings):
    settings.TENANCY_HISTORY = {
        "send invoice": "%(by)s sent the invoice %(after)s to %(person)s.",
        "look": None,
        "suspend": "Closed by %(by)s.",
    }
    record("send invoice", tenant, "ada", username="bob", after="7")
    record("look", tenant, "grace")
    record("suspend", tenant, "ada")

    assert texts(admin.get(URL))[:2] == ["Closed by ada.", "ada sent the invoice 7 to bob."]


def test_it_is_found_by_person_kind_and_day(admin, tenant, ada):
    accounts.create_user("bob", "bob@example.com")
    add_member(tenant, "bob", by="grace")
    record("suspend", tenant, "bob")
    record("send invoice", tenant, "grace")
    TenantEvent.objects.filter(action="provision").update(at=timezone.now() - timedelta(days=9))
    day = f"{timezone.now() - timedelta(days=9):%F}"

    for query, found in {
        "person=bob": ["suspend", "add member"],
        "person=Bob@example.com": ["suspend", "add member"],
        "person=other@localhost": [],
        "kind=people": ["add member", "add member"],
        "kind=other": ["send invoice"],
        f"since={day}&until={day}": ["provision"],
        f"until={day}&person=bob": [],
        "since=0001-01-01&until=9999-12-31&person=bob": ["suspend", "add member"],
        "since=9999-12-31": [],
        "since=nonsense": [],
        "person=%00": [],
        "before=x": [],
        "before=99999999999999999999": [],
    }.items():
        page = admin.get(f"{URL}?{query}")
        assert [line.action for line in page.context["lines"]] == found, query
        assert [row["Action"] for row in rows(admin, f"?{query}")] == found, query
    assert "Enter a valid date." in admin.get(f"{URL}?since=nonsense").text


def test_it_is_paged_by_key(admin, tenant, monkeypatch):
    monkeypatch.setattr(views, "PAGE", 2)
    monkeypatch.setattr(views, "CHUNK", 2)
    for number in range(5):
        record("send invoice", tenant, "ada", after=str(number))

    page, seen = admin.get(f"{URL}?person=ada&kind=other"), []
    for _ in range(3):
        seen += texts(page)
        record("send invoice", tenant, "ada", after="meanwhile")  # moves no line to the next page
        older = re.search(r'href="(\?[^"]*before=[^"]*)#lines"', page.text)
        page = admin.get(URL + older[1].replace("&amp;", "&")) if older else None

    assert page is None
    assert seen == [f"ada: send invoice, {number}" for number in (4, 3, 2, 1, 0)]
    assert len(rows(admin, "?kind=other")) == 8


def test_a_spreadsheet_runs_no_cell_of_it(admin, tenant):
    for text in ("=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", " =1", "＝1"):
        record(f"{text}", tenant, text, username=text, after=text)
        first = rows(admin)[0]
        for title in ("By", "Action", "Person", "Text"):
            assert first[title].startswith("'"), (title, text)
    assert harmless("a=1") == "a=1"
    answer = admin.get(CSV)
    assert answer["Content-Disposition"] == 'attachment; filename="history.csv"'
    assert answer.streaming


def test_it_is_in_the_readers_language(admin, tenant, ada):
    User.objects.filter(pk=ada.pk).update(language="de")
    page = admin.get(URL)
    assert '<html lang="de">' in page.text
    assert rows(admin)


def test_it_is_for_owner_and_admins_alone(tenant, tenant_client, ada):
    add_member(tenant, "ada", by="test")
    assert tenant_client.get(URL).status_code == 200
    for url in (URL, CSV):
        assert TenantClient(tenant, ada).get(url).status_code == 403
        assert TenantClient(tenant).get(url).status_code == 302
        assert tenant_client.post(url).status_code == 405


def test_nobody_changes_it_in_the_tenant(tenant_client):
    line = TenantEvent.objects.filter(slug="first").first()
    for path in ("", "add/", f"{line.pk}/change/", f"{line.pk}/delete/"):
        url = f"/admin/tenancy/tenantevent/{path}"
        assert tenant_client.get(url).status_code == 404
        assert tenant_client.post(url, {"post": "yes"}).status_code == 404


def test_it_is_of_one_workspace_for_all_names_of_its_schema(admin, tenant, other_tenant):
    record("send invoice", other_tenant, "eve")
    # Nor is that of a purged one at the same address.
    TenantEvent.objects.create(slug="first", schema_name="first_0", by="eve", action="send")
    assert not rows(admin, "?person=eve")

    record("rename schema", tenant, "x", before=tenant.schema_name, after="first_00000002")
    record("send invoice", tenant, "bob")
    connection.set_schema_to_public()
    tenant.schema_name = "first_00000002"
    assert "bob" in [line.by for line in views.lines_for(Request(tenant), valid_form())]


class Request:
    def __init__(self, tenant):
        self.tenant = tenant


def valid_form():
    return views.FilterForm({})


def test_it_costs_the_same_however_long_it_is(admin, tenant, django_assert_num_queries):
    admin.get(URL)
    for _ in range(2):
        # The host, in a test; session, person, support, former names, lines.
        with django_assert_num_queries(6):
            admin.get(URL)
        TenantEvent.objects.bulk_create(
            TenantEvent(schema_name=tenant.schema_name, action="sign in", by="ada")
            for _ in range(200)
        )


# Sign-ins


def signed_in(**change):
    lines = TenantEvent.objects.filter(action__in=["sign in", "refuse sign-in"], **change)
    return [(line.action, line.username, line.after) for line in lines.order_by("pk")]


def test_a_sign_in_is_noted_and_so_is_one_that_is_refused(browser, tenant):
    browser.sign_in()
    url = browser.code()
    thief = Browser()
    for _ in range(12):
        thief.open(url)
        thief.open("http://first.localhost/sign-in/finish/?code=x&state=y")
    browser.open(url)

    lines = signed_in(schema_name=tenant.schema_name)
    # Of many tries ten an hour are written, for each person and for those that nobody knows.
    assert sorted({*lines}) == [
        ("refuse sign-in", "", "code"),
        ("refuse sign-in", "admin", "code"),
        ("sign in", "admin", ""),
    ]
    assert len(lines) == 21
    page = texts(browser.at("first.localhost").get(f"{URL}?kind=sign-ins"))
    assert page[0] == "admin signed in."
    assert {*page[1:]} == {
        f"A sign-in{of} was refused: {sentences.REASONS['code']}." for of in ("", " of admin")
    }


def test_a_fresh_confirmation_is_no_further_sign_in(browser, tenant):
    browser.sign_in()
    browser.open(browser.code())
    browser.open("http://first.localhost/sign-in/?fresh=10")
    assert len(signed_in()) == 1

    User.objects.filter(username="admin").update(session_epoch=7)  # ends the session
    browser.sign_in()
    browser.open("http://first.localhost/sign-in/?fresh=10")
    assert len(signed_in()) == 2


def test_a_stranger_who_is_refused_stays_unnamed(browser, tenant, ada):
    """Otherwise a workspace could learn from a link which person opens it."""
    browser.sign_in("ada", "analytical engine")
    assert browser.open("http://first.localhost/sign-in/").status_code == 403
    assert signed_in(schema_name=tenant.schema_name) == [("refuse sign-in", "", "no member")]

    add_member(tenant, "ada", by="test")
    url = browser.code()
    remove_member(tenant, "ada", by="test")
    assert browser.open(url).status_code == 400
    assert ("refuse sign-in", "ada", "no member") in signed_in()


def test_a_person_who_lacks_a_second_factor_is_noted(browser, tenant, ada, settings):
    settings.MFA_REQUIRED = "staff"
    add_member(tenant, "ada", "admin", by="test")
    browser.sign_in("ada", "analytical engine")
    browser.open("http://first.localhost/sign-in/", until="/account/2fa/")
    assert signed_in() == [("refuse sign-in", "ada", "second factor")]


# What becomes of it


def test_old_lines_go_and_what_other_code_needs_stays(tenant, settings):
    for action in ("sign in", "invite", *KEPT):
        record(action, tenant, "ada")
    record("deactivate", None, "ada", username="bob")
    FailedSignIn.objects.create(person="1", count=1, at=timezone.now(), address="")
    TenantEvent.objects.update(at=timezone.now() - timedelta(days=20))
    before = TenantEvent.objects.count()

    settings.TENANCY_HISTORY_DAYS = 21
    assert prune() == 0
    settings.TENANCY_HISTORY_DAYS = 19
    TenantEvent.objects.filter(action="invite").update(at=timezone.now())
    call_command("prune_history")

    left = {*TenantEvent.objects.values_list("action", flat=True)}
    assert left == {*KEPT, "invite"}
    assert TenantEvent.objects.count() < before
    assert FailedSignIn.objects.exists()
    FailedSignIn.objects.update(at=timezone.now() - timedelta(days=20))
    prune()
    assert not FailedSignIn.objects.exists()


def test_an_anonymised_person_has_no_name_in_it(admin, tenant, ada):
    record("sign in", tenant, "ada", username="ada")
    invite(tenant, "grace@example.com", "member", ada)
    FailedSignIn.objects.create(person=str(ada.pk), count=1, at=timezone.now(), address="")
    accounts.deactivate("ada", by="admin")
    accounts.anonymise("ada", by="admin")

    client = TenantClient(tenant, tenant.owner)
    page = texts(client.get(URL))
    assert f"{accounts.gone(ada)} signed in." in page
    assert f"{accounts.gone(ada)} invited grace@example.com as Member." in page
    assert not [text for text in page if re.search(r"\bada\b", text)]
    assert not FailedSignIn.objects.exists()


# Wrong passwords


@pytest.fixture
def websites(browser):
    """Two browsers at the main website."""
    return browser, Browser()


def failed(browser):
    return browser.at("localhost").get("/account/").context["failed"]


def test_wrong_passwords_are_shown_to_the_person_alone(websites, tenant, public):
    own, thief = websites
    own.sign_in()
    assert failed(own) is None
    for _ in range(2):
        thief.at("localhost").post(
            "/account/login/", {"login": "admin", "password": "x"}, REMOTE_ADDR="192.0.2.7"
        )
    assert failed(own).count == 2

    own.at("localhost").post("/sign-out/")
    own.sign_in(password="wrong")
    own.sign_in()
    count, at, address = failed(own)
    assert (count, address) == (3, "127.0.0.1")
    assert timezone.now() - at < timedelta(minutes=1)
    thief.sign_in(password="wrong")
    assert failed(own).count == 4
    assert "4 attempts to sign in as you" in own.at("localhost").get("/account/").text

    own.at("localhost").post("/sign-out/")
    own.sign_in()
    assert failed(own).count == 1
    own.at("localhost").post("/sign-out/")
    own.sign_in()
    assert failed(own) is None
    assert not TenantEvent.objects.filter(action__contains="fail").exists()


def test_a_name_that_nobody_has_costs_as_much(browser, tenant):
    counts = []
    for name in ("admin", "nobody", str(tenant.owner.pk)):
        with CaptureQueriesContext(connection) as queries:
            browser.sign_in(name, "wrong")
        counts.append(sum("tenancy_failedsignin" in query["sql"] for query in queries))
    assert counts == [1, 1, 1]
    assert FailedSignIn.objects.get(person=str(tenant.owner.pk)).count == 1
    assert FailedSignIn.objects.get(person="").count == 2


def test_they_are_in_what_the_person_downloads(websites):
    own, thief = websites
    own.sign_in()
    thief.sign_in(password="wrong")
    user = User.objects.get(username="admin")
    connection.set_schema_to_public()
    assert data_of(user)["failed_sign_ins"]["count"] == 1


def test_hand_overs_name_no_secret(browser):
    browser.sign_in()
    browser.open(browser.code())
    code = HandOver.objects.get().code
    assert not [line for line in TenantEvent.objects.all() if code in line.after + line.before]
