"""Requests read from a streaming replica, and no page is late, wrong or missing for it.

These tests commit, and undo what they write.
"""

from contextlib import contextmanager
from http import HTTPStatus

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.db import connection, connections, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy.database import replica
from tenancy.database.replica.standby import standby
from tenancy.exceptions import WrongTenant
from tenancy.lifecycle import provision_tenant
from tenancy.requests.replica import COOKIE, RequestChooser, hide, is_read_there
from tenancy.testing.client import TenantClient

from engine.copies import cleaned_up
from engine.standby import Replica

ALIAS = "replica"


@pytest.fixture(scope="module")
def server(django_db_setup, django_db_blocker, tmp_path_factory):
    """A replica of the tests' server, while it runs."""
    with django_db_blocker.unblock():
        server = Replica(tmp_path_factory.mktemp("replica"))
    try:
        with django_db_blocker.unblock():
            server.start()
        yield server
    finally:
        if server.server:
            server.kill()


@pytest.fixture
def streaming(server, committed_db, monkeypatch):
    """The project has the replica, which is up to date."""
    address = {"ENGINE": replica.ENGINE, "HOST": "127.0.0.1", "PORT": server.port}
    database = {name: value for name, value in connection.settings_dict.items() if name != "SERVER"}
    monkeypatch.setitem(connections.settings, ALIAS, database | address)
    monkeypatch.setitem(django_settings.DATABASES, ALIAS, database | address)
    monkeypatch.setattr(replica, "alias", ALIAS)
    standby.__init__()
    if not server.answers():
        server.start()
    server.catch_up()
    yield server
    connections[ALIAS].close()
    del connections[ALIAS]


@pytest.fixture
def first(streaming):
    yield from with_notes("first", streaming)


@pytest.fixture
def other(streaming):
    yield from with_notes("other", streaming)


def with_notes(slug, server):
    tenant = Tenant.objects.get(slug=slug)
    with tenant:
        Note.objects.create(text=f"of {slug}", author=tenant.owner)
    server.catch_up()
    yield tenant
    with tenant:
        Note.objects.all().delete()


@pytest.fixture
def client(first):
    return TenantClient(first, first.owner)


@contextmanager
def reading(**kwargs):
    """Read as a request does that may read from the replica."""
    token = replica.chooser.set(RequestChooser(**{"wrote": False, "may_read": True} | kwargs))
    standby.refresh()
    try:
        yield
    finally:
        replica.chooser.reset(token)


@contextmanager
def asked(alias=ALIAS):
    """Yield the list of the statements that the server is sent in the block."""
    statements = []
    with CaptureQueriesContext(connections[alias]) as captured:
        yield statements
    statements += [query["sql"] for query in captured]


def texts(response):
    assert response.status_code == HTTPStatus.OK
    return {note.text for note in response.context["notes"]}


def test_a_page_reads_the_tenants_rows_from_the_replica_and_all_else_from_the_primary(client):
    with asked() as there, asked("default") as here:
        response = client.get("/notes/")

    assert texts(response) == {"of first"}
    assert ["notes_note" in sql for sql in there] == [True]
    assert not [sql for sql in here if "notes_note" in sql]
    assert COOKIE not in response.cookies


def test_only_rows_of_the_tenants_own_apps_are_read_there():
    own = {"notes", "relations", "orders", "places", "shapes", "django_celery_results"}
    found = {model for model in apps.get_models() if is_read_there(model)}

    assert {model._meta.app_label for model in found} == own & {*apps.app_configs}


def test_the_main_website_reads_from_the_primary(streaming):
    public = Tenant.objects.get(slug="public")
    with asked() as there:
        assert TenantClient(public, public.owner).get("/account/").status_code == HTTPStatus.OK

    assert there == []


def test_nobody_misses_what_they_have_written(client, first, streaming):
    """Others may, for as long as the replica may lag."""
    with streaming.paused():
        response = client.post("/notes/", {"text": "written"})
        assert texts(client.get(response.url)) == {"of first", "written"}
        assert texts(TenantClient(first, first.owner).get("/notes/")) == {"of first"}
    with asked() as there:
        assert texts(client.get("/notes/")) == {"of first", "written"}
    assert there


def test_a_cookie_that_is_none_of_ours_leads_to_the_primary(client):
    for text in ("", "nonsense", "0" * 32, hide(2**62)):
        client.cookies[COOKIE] = text
        with asked() as there:
            assert texts(client.get("/notes/")) == {"of first"}
        assert not [sql for sql in there if "notes_note" in sql]


def test_a_cookie_doesnt_tell_how_much_is_written():
    assert hide(1)[16:] != hide(1)[16:]


def test_after_a_write_a_request_reads_what_it_wrote(first, streaming):
    with first, streaming.paused(), reading():
        before, later = Note.objects.all(), Note.objects.order_by("pk")
        assert [note.text for note in before] == ["of first"]
        Note.objects.filter(text="of first").update(text=F("text"))
        Note.objects.create(text="written", author=first.owner)
        assert [note.text for note in later] == ["of first", "written"]


def test_what_is_read_there_is_the_primarys(first, other):
    with first, reading():
        with asked() as there:
            note = Note.objects.get()
        note.text = "changed"
        note.save()
        note.refresh_from_db()
    with other, reading():
        theirs = Note.objects.get()

        assert there
        assert note._state.db == "default"
        for use in (Note.save, Note.delete, Note.refresh_from_db):
            with pytest.raises(WrongTenant):
                use(note)
        with pytest.raises(WrongTenant), first:
            theirs.save()
    with first:
        assert Note.objects.get().text == "changed"


def test_a_transaction_reads_from_the_primary(first):
    with first, reading(), transaction.atomic(), asked() as there:
        assert Note.objects.select_for_update().get().text == "of first"
        assert Note.objects.get().text == "of first"

    assert there == []


def test_without_a_request_nothing_is_read_there(first):
    with first, asked() as there:
        assert Note.objects.get().text == "of first"

    assert there == []


def look_again():
    standby.next_look = 0


def test_a_late_replica_is_left_out_and_comes_back(client, first, streaming, settings):
    settings.REPLICA_MAX_LAG = 0.001
    with streaming.paused():
        with first:
            Note.objects.create(text="new", author=first.owner)
        look_again()
        with asked() as there:
            assert texts(client.get("/notes/")) == {"of first", "new"}
        assert there == []
        assert standby.state == "late"
    settings.REPLICA_MAX_LAG = 5
    look_again()
    with asked() as there:
        assert texts(client.get("/notes/")) == {"of first", "new"}
    assert there


def test_a_replica_that_is_away_is_left_out_and_comes_back(client, streaming):
    client.get("/notes/")
    streaming.kill()
    with asked("default") as here:
        assert texts(client.get("/notes/")) == {"of first"}
    assert [sql for sql in here if "notes_note" in sql]
    assert standby.state == "away"
    look_again()
    assert texts(client.get("/notes/")) == {"of first"}
    streaming.start()
    look_again()
    with asked() as there:
        assert texts(client.get("/notes/")) == {"of first"}
    assert there


def test_a_server_that_replicates_nothing_is_left_out(client, streaming, monkeypatch):
    """As a replica that was promoted."""
    monkeypatch.setitem(connections[ALIAS].settings_dict, "PORT", connection.settings_dict["PORT"])
    with asked() as there:
        assert texts(client.get("/notes/")) == {"of first"}

    assert there == []
    assert standby.state == "away"


def test_a_tenant_that_the_replica_hasnt_yet_is_read_from_the_primary(streaming):
    with cleaned_up(), streaming.paused():
        provision_tenant("Born", "born", "Born", "admin")
        born = Tenant.objects.get(slug="born")
        with born:
            Note.objects.create(text="first words", author=born.owner)
        assert texts(TenantClient(born, born.owner).get("/notes/")) == {"first words"}


def test_raw_sql_that_writes_goes_to_the_primary(first):
    with first, reading():
        (note,) = Note.objects.raw("UPDATE notes_note SET text = 'raw' RETURNING *")
        assert note.text == Note.objects.get().text == "raw"
