"""A person signs up, names a workspace, and is in it."""

import re
import runpy
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module
from types import ModuleType

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from django.utils import timezone
from server import urls_public
from server.tenants.models import Domain, Organization, Tenant
from tenancy import lifecycle
from tenancy.lifecycle.provisioning import FAILED
from tenancy.models import TenantEvent
from tenancy.people.accounts import create_user
from tenancy.people.members import add_member, list_members
from tenancy.testing import TenantClient
from tenancy.workspace.new.addresses import suggest

from engine.copies import cleaned_up, get
from engine.processes import kill, stop_before
from engine.test_accounts import code_in
from engine.test_handover import Browser

User = get_user_model()
NEW = "/workspaces/new/"
ACME = {"name": "Acme", "address": "acme"}
Status = Tenant.Status


@pytest.fixture(autouse=True)
def _at_once(settings):
    settings.PROVISION_IN_BACKGROUND = False


@pytest.fixture
def own(public, ada):
    """A browser at the main website that ada is signed in with."""
    return TenantClient(public, ada)


def goal_of(page):
    """Return where a page goes on to by itself."""
    return re.search(r'http-equiv="refresh" content="\d+; url=([^"]+)"', page.text)[1]


# From nothing to a workspace


@pytest.mark.usefixtures("db")
def test_a_person_signs_up_and_is_in_their_workspace(mailoutbox):
    browser = Browser()
    website = browser.at("localhost")
    website.post("/account/signup/", {"email": "grace@example.com", "terms": "on"})
    code = {"code": code_in(mailoutbox[0])}
    assert website.post("/account/confirm-email/", code).url == NEW
    assert "Name your workspace" in website.get(NEW).text

    there = website.post(NEW, {"name": "Grace Hopper & Co.", "address": ""}).url
    page = website.get(there)
    goal = goal_of(page)
    assert goal == "http://grace-hopper-co.localhost/sign-in/"
    assert f'href="{goal}"' in page.text  # for who waits in vain

    page = browser.open(goal)
    assert "Welcome to Grace Hopper &amp; Co." in page.text
    tenant, grace = get("grace-hopper-co"), User.objects.get(email="grace@example.com")
    assert (tenant.owner, tenant.organization.name) == (grace, "Grace Hopper & Co.")
    assert [(each.user, each.role) for each in list_members(tenant)] == [(grace, "owner")]
    assert TenantEvent.objects.get(action="provision", slug=tenant.slug).by == grace.username


def test_each_workspace_has_an_organization_of_its_own(own):
    Organization.objects.create(name="Acme")

    own.post(NEW, ACME)

    assert get("acme").organization.tenants.count() == 1
    assert Organization.objects.filter(name="Acme").count() == 2


def test_operators_see_how_a_workspace_came(own, public_client, tenant, run):
    tenant.deactivate()
    own.post(NEW, ACME)

    page = public_client.get("/admin/tenants/tenant/").text
    assert page.count("sign-up by ada") == 1
    lines = {line.split()[0]: line for line in run("tenants").splitlines()}
    assert lines["acme"].endswith("sign-up by ada")
    assert lines["first"].endswith(("provisioned", "provisioned by admin"))


# Who lands where


def test_after_signing_in_a_person_without_a_workspace_makes_one(public, ada, tenant, other_tenant):
    tenant.deactivate()
    credentials = {"login": "ada", "password": "analytical engine"}

    def sign_in(**goal):
        return Client(SERVER_NAME="localhost").post("/account/login/", credentials | goal).url

    assert sign_in() == NEW
    assert sign_in(next="/account/") == "/account/"
    add_member(other_tenant, "ada", by="test")
    assert sign_in() == "/"


def test_a_visitor_signs_in_first(public):
    visitor = Client(SERVER_NAME="localhost")

    for page in (NEW, f"{NEW}address/?name=x", f"{NEW}first/", "/workspaces/"):
        assert visitor.get(page).url.startswith("/sign-in/?next=/workspaces/")


def test_an_unconfirmed_person_owns_nothing(own, ada):
    User.objects.filter(pk=ada.pk).update(is_verified=False)

    page = own.post(NEW, ACME)

    assert page.status_code == 403
    assert "Confirm your e-mail address first" in page.text
    assert not Tenant.all_objects.filter(slug="acme").exists()


@pytest.fixture
def _sign_up_off(settings, monkeypatch):
    """The main website as a process with SIGN_UP=off has it."""
    settings.SIGN_UP = False
    people, workspaces = (
        runpy.run_path(import_module(f"tenancy.{room}.urls_public").__file__)["urlpatterns"]
        for room in ("people", "workspace")
    )
    urlconf = ModuleType("sign_up_off")
    first, _, _, *rest = urls_public.urlpatterns
    urlconf.urlpatterns = [first, *people, path("workspaces/", include(workspaces)), *rest]
    settings.PUBLIC_SCHEMA_URLCONF = urlconf


SELLING = ["Create your workspace", "Ready at once", "/sign-up/", "Sign up", NEW]


@pytest.mark.usefixtures("_sign_up_off")
def test_without_sign_up_there_is_no_page_and_no_word_of_it(own, ada):
    assert own.get(NEW).status_code == 404
    assert own.post(NEW, ACME).status_code == 404
    visitor = Client(SERVER_NAME="localhost")
    for client, page in [(visitor, "/"), (own, "/"), (own, "/workspaces/"), (own, "/account/")]:
        text = client.get(page).text
        assert not [word for word in SELLING if word in text], page
    assert "by invitation" in visitor.get("/").text
    data = {"login": "ada", "password": "analytical engine"}
    assert visitor.post("/account/login/", data).url == "/"


def test_the_home_page_sells(public):
    page = Client(SERVER_NAME="localhost").get("/").text

    assert [word for word in SELLING if word not in page] == [NEW]
    assert "Sign in" in page
    assert not re.search("schema|tenant", re.sub(r"<[^>]+>", "", page), re.I)


# The address


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme", "acme"),
        ("  Müller & Söhne GmbH ", "muller-sohne-gmbh"),
        ("3M", "team-3m"),
        ("snake_case__name", "snake-case-name"),
        ("First", "first-2"),
        ("Admin", "admin-team"),
        ("x" * 99, "x" * 40),
        ("ACME " * 20, "acme-acme-acme-acme-acme-acme-acme-acme"),
        ("日本", ""),
        ("--", ""),
    ],
)
def test_an_address_is_suggested(db, name, slug):
    assert suggest(name) == slug


def test_a_suggestion_is_free_also_as_a_host(outside):
    for number in range(2, 20):
        Domain.objects.create(tenant=outside, domain=f"first-{number}.localhost", is_primary=False)

    assert re.fullmatch("first-[0-9a-f]{8}", suggest("First"))


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("acme", ""),
        ("first", "“first” is taken. “first-2” is free."),
        ("www", "“www” is reserved for this site. “www-team” is free."),
        ("Acme Inc", "lower-case letters"),
        ("3m", "begins with a letter"),
        ("a--b", "single hyphens"),
        ("x" * 41, "up to 40"),
    ],
)
def test_the_form_and_the_script_say_the_same_of_an_address(own, address, says):
    found = own.get(f"{NEW}address/", {"address": address.lower()}).json()
    assert says in found["problem"]
    assert bool(found["problem"]) == bool(says)

    answer = own.post(NEW, {"name": "Name", "address": address})
    if says:
        assert says in answer.context["form"].errors["address"][0]
    else:
        assert answer.status_code == 302


def test_a_former_address_of_a_workspace_is_taken(own, outside):
    lifecycle.rename(outside, "test", slug="renamed")

    assert "is taken" in own.get(f"{NEW}address/?address=first").json()["problem"]
    assert own.get(f"{NEW}address/?name=First").json()["address"] == "first-2"


def test_a_name_that_gives_no_address_asks_for_one(own):
    page = own.post(NEW, {"name": "日本", "address": ""})
    assert page.context["form"].errors["address"] == ["Choose an address."]

    assert own.post(NEW, {"name": "日本", "address": "Nippon.localhost"}).status_code == 302
    assert get("nippon").name == "日本"


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\0b"])
def test_an_impossible_name_is_an_error_of_the_form(own, name):
    assert own.post(NEW, {"name": name, "address": "acme"}).context["form"].errors["name"]


# Limits


def test_a_person_makes_a_few_a_day(own, public):
    for number in range(5):
        own.post(NEW, {"name": f"Acme {number}"})
    assert own.post(NEW, ACME).status_code == 429
    assert not Tenant.all_objects.filter(slug="acme").exists()

    create_user("bob", "bob@example.com", "analytical engine")
    bob = TenantClient(public, User.objects.get(username="bob"))
    assert bob.post(NEW, ACME).status_code == 302


@pytest.mark.parametrize("name", ["workspace", "workspace-address", "workspace-all"])
def test_a_limit_is_reached(own, settings, name):
    settings.TENANCY_RATES = {name: "1/1d"}
    assert own.post(NEW, {"name": "One"}).status_code == 302

    assert own.post(NEW, ACME).status_code == 429


def test_what_is_refused_counts_for_nothing(own, settings, monkeypatch):
    settings.TENANCY_RATES = {"workspace": "1/1d"}
    monkeypatch.setattr("tenancy.workspace.new.forms.problem_with", lambda slug: "")
    assert "taken" in own.post(NEW, {"name": "First", "address": "first"}).text

    assert own.post(NEW, ACME).status_code == 302


def test_a_person_owns_a_few(own, settings):
    settings.MAX_WORKSPACES_OWNED = 1
    own.post(NEW, {"name": "One"})

    assert "as a person can own: 1." in own.post(NEW, ACME).text
    lifecycle.delete(get("one"), by="test")
    assert own.post(NEW, ACME).status_code == 302


def test_questions_about_addresses_are_limited(own, settings):
    settings.TENANCY_RATES = {"workspace-check": "1/1m"}
    own.get(f"{NEW}address/?name=x")

    assert own.get(f"{NEW}address/?name=x").status_code == 429


# Twice, and half-way


def test_a_second_click_leads_to_the_same_workspace(own):
    first, second = own.post(NEW, ACME), own.post(NEW, ACME)

    assert first.url == second.url == f"{NEW}acme/"
    assert TenantEvent.objects.filter(action="provision", slug="acme").count() == 1


def test_two_clicks_at_once_make_one_workspace(committed_db):
    public, owner = Tenant.objects.get(slug="public"), User.objects.get(username="other")
    clients = [TenantClient(public, owner) for _ in range(4)]
    with cleaned_up():

        def click(client):
            try:
                return client.post(NEW, ACME).url
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            found = [*pool.map(click, clients)]
        assert found == [f"{NEW}acme/"] * 4
        assert [*Tenant.objects.filter(owner=owner)] == [get("acme"), get("other")]
        for client in clients:
            client.post("/sign-out/")


KILLED = "provision_tenant('Killed', 'killed', None, 'admin', origin='sign-up')"


@pytest.fixture
def killed(committed_db):
    """A workspace whose making was killed half-way, and its owner's browser."""
    public = Tenant.objects.get(slug="public")
    browser = TenantClient(public, public.owner)
    with cleaned_up():
        kill(stop_before("provisioning.activate", KILLED), "provision killed")
        yield browser
        browser.post("/sign-out/")


def test_what_a_killed_process_has_left_is_in_the_list_and_goes_on(killed):
    page = killed.get("/workspaces/").text
    assert "not ready yet" in page
    assert f'href="http://localhost{NEW}killed/"' in page
    assert "We are making Killed" in killed.get(f"{NEW}killed/").text  # for all the page knows
    Tenant.all_objects.filter(slug="killed").update(modified=timezone.now() - timedelta(seconds=20))
    assert "Killed isn&#x27;t ready yet" in killed.get(f"{NEW}killed/").text.replace("'", "&#x27;")

    page = killed.post(f"{NEW}killed/", follow=True)
    assert goal_of(page) == "http://killed.localhost/sign-in/"
    assert "not ready yet" not in killed.get("/workspaces/").text


def test_what_a_killed_process_has_left_is_discarded(killed):
    page = killed.post(f"{NEW}killed/", {"discard": ""}, follow=True)

    assert "Killed is discarded." in page.text
    assert not Tenant.all_objects.filter(slug="killed").exists()
    assert not Organization.objects.filter(name="Killed").exists()


def test_nobody_else_sees_how_far_it_is(own, tenant):
    own.post(NEW, ACME)
    assert own.get(f"{NEW}acme/").status_code == 200

    stranger = TenantClient(Tenant.objects.get(slug="public"), tenant.owner)
    for slug in ("acme", "first", "nothing"):  # `first` is theirs, and was made by an operator
        assert stranger.get(f"{NEW}{slug}/").status_code == 404
        assert stranger.post(f"{NEW}{slug}/", {"discard": ""}).status_code == 404


def test_a_worker_makes_it_and_the_page_goes_on(own, settings, monkeypatch):
    settings.PROVISION_IN_BACKGROUND = True
    asked = []
    monkeypatch.setattr(
        lifecycle.provisioning, "send_signal", lambda *args, **more: asked.append(more)
    )
    page = own.post(NEW, ACME, follow=True)

    assert asked == [{"requested_by": "ada"}]
    assert get("acme").status == Status.PROVISIONING
    assert "We are making Acme" in page.text
    assert 'http-equiv="refresh" content="1"' in page.text

    Tenant.all_objects.filter(slug="acme").update(progress=f"{FAILED}: no such table")
    page = own.get(f"{NEW}acme/").text
    assert "It takes longer than usual" in page
    assert "no such table" not in page
    assert "We are making Acme" in own.post(f"{NEW}acme/", follow=True).text
    assert asked[1:] == [{"requested_by": "ada"}]

    lifecycle.finish(get("acme"), "ada")
    assert goal_of(own.get(f"{NEW}acme/")) == "http://acme.localhost/sign-in/"


# Which workspace?


@pytest.fixture
def found(public, mailoutbox):
    """Ask for the workspaces of an address; return the answer's text and the e-mails."""

    def found(email):
        before = len(mailoutbox)
        answer = Client(SERVER_NAME="localhost").post(
            "/workspaces/find/", {"email": email}, follow=True
        )
        return answer.text, mailoutbox[before:]

    return found


def test_a_person_is_sent_their_workspaces(found, ada, tenant, other_tenant):
    tenant.deactivate()
    add_member(tenant, "ada", by="test")

    page, [mail] = found("ADA@example.com")
    assert "Check your e-mail" in page
    assert mail.to == ["ada@example.com"]
    assert "First Tenant\nhttp://first.localhost/sign-in/" in mail.body
    assert "other.localhost" not in mail.body

    unknown, [mail] = found("nobody@example.com")
    assert unknown == page
    assert "There are none" in mail.body


def test_an_unconfirmed_address_tells_nothing(found, ada, outside):
    add_member(outside, "ada", by="test")
    ada.emailaddress_set.update(verified=False)

    _, [mail] = found("ada@example.com")
    assert "First Tenant" not in mail.body


def test_a_deactivated_person_is_unknown(found, ada, outside):
    add_member(outside, "ada", by="test")
    User.objects.filter(pk=ada.pk).update(is_active=False)

    assert "There are none" in found("ada@example.com")[1][0].body


def test_nobody_fills_a_mailbox(found):
    for _ in range(5):
        assert found("ada@example.com")[1]

    page, mails = found("ada@example.com")
    assert "Too many attempts" in page
    assert mails == []


def test_the_form_refuses_what_is_no_address(public):
    page = Client(SERVER_NAME="localhost").post("/workspaces/find/", {"email": "a\0@b"})
    assert page.context["form"].errors["email"]


# The header, and what pages cost


def test_the_header_says_where_one_is_and_names_no_other_workspace(tenant, other_tenant):
    add_member(other_tenant, "admin", by="test")
    page = TenantClient(tenant, tenant.owner).get("/notes/").text
    header = page[page.index("<header>") : page.index("</header>")]

    links = re.findall(r'href="([^"]*)"', header)
    assert links[0] == "/"
    assert {"/workspaces/", "/account/", "/notes/", "/admin/"} <= {*links}
    assert "First Tenant" in header
    assert other_tenant.name not in page
    answer = TenantClient(tenant, tenant.owner).get("/workspaces/")
    assert answer.url == "http://localhost/workspaces/"


@pytest.mark.parametrize("page", ["/account/", "/account/email/", "/account/sessions/"])
def test_the_library_s_pages_have_the_same_header(own, page):
    text = own.get(page).text

    assert '<a href="/workspaces/">My workspaces</a>' in text
    assert 'href="/account/"' in text


# Three are of each: the host, which is known outside of a test's transaction, the session, and the
# person with their rights.
STATEMENTS = {
    "/": 3 + 1,
    "/workspaces/": 3 + 2,  # also those that were deleted
    NEW: 3,
    f"{NEW}address/?name=Acme": 3 + 3,  # the limit, tenants, domains
    f"{NEW}address/?address=acme": 3 + 3,
    f"{NEW}mine/": 3 + 2,
}


def test_what_the_pages_cost(own):
    own.post(NEW, {"name": "Mine"})
    own.get(f"{NEW}address/?name=Acme")  # the hosts are known, and counts that are over are gone

    found = {}
    for page in STATEMENTS:
        with CaptureQueriesContext(connection) as queries:
            assert own.get(page).status_code == 200
        found[page] = len(queries)
    assert found == STATEMENTS
    visitor = Client(SERVER_NAME="localhost")
    for page in ("/", "/workspaces/find/"):
        with CaptureQueriesContext(connection) as queries:
            visitor.get(page)
        assert len(queries) == 1, page  # the host


def test_the_command_lists_an_unfinished_one(own, settings, run):
    settings.PROVISION_IN_BACKGROUND = True
    own.post(NEW, ACME)

    assert "sign-up" in run("tenants")
    call_command("provision_tenant", resume="acme")
    assert get("acme").status == Status.ACTIVE
