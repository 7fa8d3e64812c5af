"""A person's language and time zone: on the main website, in workspaces, and in e-mails."""

import pytest
from django.test import Client
from django.utils import timezone, translation
from server.notes.models import Note
from server.notes.tasks import send_digest
from tenancy.concrete import User
from tenancy.people.members import add_member
from tenancy.testing import TenantClient

pytestmark = pytest.mark.usefixtures("db")

GERMAN = {"accept-language": "de-AT,de;q=0.9,en;q=0.5"}


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


@pytest.fixture
def german(ada):
    User.objects.filter(pk=ada.pk).update(language="de", time_zone="Pacific/Auckland")
    ada.refresh_from_db()
    return ada


def language_of(page):
    assert page["Content-Language"] in page.text.split("<head>")[0]  # <html lang>
    return page["Content-Language"]


@pytest.mark.parametrize("host", ["localhost", "first.localhost", "nobody.localhost"])
@pytest.mark.parametrize(
    ("wanted", "language"), [(GERMAN, "de"), ({"accept-language": "fr"}, "en"), ({}, "en")]
)
def test_a_visitor_gets_the_browsers_language(host, wanted, language):
    page = Client(SERVER_NAME=host).get("/", headers=wanted)

    assert language_of(page) == language
    assert "Accept-Language" in page["Vary"]


def test_a_person_gets_their_own_in_workspaces_and_on_the_main_website(tenant, public, german):
    add_member(tenant, "ada", by="test")

    for site, path in ((public, "/account/"), (tenant, "/notes/")):
        page = TenantClient(site, german).get(path, headers={"accept-language": "en"})
        assert language_of(page) == "de", path
        assert "Konto</a>" in page.text, path
        assert language_of(TenantClient(site, site.owner).get(path)) == "en", path


def test_choices_with_numbers_are_translated_for_each_request(tenant, german):
    add_member(tenant, "ada", "admin", by="test")

    assert "90 Tage" in TenantClient(tenant, german).get("/workspace/keys/new/").text


def test_the_next_visitor_of_the_process_gets_neither_language_nor_time_zone(tenant, german):
    add_member(tenant, "ada", by="test")
    TenantClient(tenant, german).get("/notes/")

    assert translation.get_language() == "en"
    assert timezone.get_current_timezone_name() == "UTC"


def test_times_are_in_a_persons_own_zone(tenant, german):
    add_member(tenant, "ada", by="test")
    note = Note.objects.create(text="Milk", author=german)
    Note.objects.filter(pk=note.pk).update(created="2026-01-01T12:00Z")

    assert "2. Januar 2026 01:00" in TenantClient(tenant, german).get("/notes/").text
    assert "Jan. 1, 2026, noon" in TenantClient(tenant, tenant.owner).get("/notes/").text


def test_who_signs_up_keeps_the_browsers_language(mailoutbox):
    browser = Client(SERVER_NAME="localhost", headers=GERMAN)
    browser.post("/account/signup/", {"email": "grace@example.com", "terms": "on"})

    assert User.objects.get(email="grace@example.com").language == "de"
    assert mailoutbox[0].subject.startswith("Ihr Code")


def test_an_email_is_in_the_recipients_language_whoever_asks(german, mailoutbox):
    User.objects.filter(username="admin").update(language="en")
    Client(SERVER_NAME="localhost").post("/account/login/code/", {"email": "ada@example.com"})
    Client(SERVER_NAME="localhost", headers=GERMAN).post(
        "/account/login/code/", {"email": "admin@localhost"}
    )

    assert mailoutbox[0].subject.startswith("Ihr Code")
    assert '<html lang="de">' in mailoutbox[0].alternatives[0][0]
    assert mailoutbox[1].subject.startswith("Your code")


def test_commands_and_tasks_write_to_people_in_their_language(
    german, public, tenant, mailoutbox, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        add_member(tenant, "ada", "admin", by="test")
        Note.objects.create(text="Milk", author=german)
        send_digest()
    found = {mail.to[0]: mail.subject for mail in mailoutbox}

    assert found == {"admin@localhost": "New notes", "ada@example.com": "Neue Notizen"}
