"""Requests read from a streaming replica, and no page is late, wrong or missing for it.

These tests commit, and undo what they write.
"""

import threading
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from http import HTTPStatus
from types import ModuleType

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.conf import settings as django_settings
from django.core.cache.backends.db import BaseDatabaseCache
from django.db import connection, connections, transaction
from django.db.models import F
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import path
from hypothesis.stateful import invariant, run_state_machine_as_test
from server import urls
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy.database import replica
from tenancy.database.replica import standby as module
from tenancy.database.replica.standby import FLUSHED, ask, standby
from tenancy.exceptions import WrongTenant
from tenancy.health import doctor, probes
from tenancy.lifecycle import provision_tenant
from tenancy.requests.replica import COOKIE, RequestChooser, hide, is_read_there
from tenancy.testing.client import TenantClient
from tenancy.testing.isolation import Isolation
from tenancy.testing.isolation.walk import patterns

from engine.copies import cleaned_up
from engine.standby import Replica
from engine.test_async import HostClient
from engine.test_isolation import Tenants
from engine.test_lives import Lives, fewer

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


def test_the_table_of_a_cache_is_read_from_the_primary(first):
    """Django asks the router for a model that has hardly any options."""
    chooser = RequestChooser(wrote=False, may_read=True)

    assert not chooser.chooses(BaseDatabaseCache("cache", {}).cache_model_class)


@pytest.mark.parametrize(
    ("sql", "writes"),
    [
        ("/* of a tracer */ SELECT 1", False),
        ("(SELECT 1) UNION SELECT 2", False),
        ("EXECUTE tenancy_person(1)", False),
        ("EXECUTE own(1)", True),
        ("update notes_note set text = ''", True),
        ("WITH gone AS (DELETE FROM notes_note RETURNING 1) SELECT 1", True),
        (b"SELECT 1", True),
    ],
)
def test_a_statement_that_is_not_known_to_read_counts_as_a_write(sql, writes):
    chooser = replica.Chooser()
    chooser.note(sql)

    assert chooser.wrote is writes


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


@pytest.fixture
def idle(streaming, monkeypatch):
    """What the replica has replayed was committed an hour ago."""
    ask_replica = module.ask_replica

    def an_hour_ago():
        replayed, committed = ask_replica()
        return replayed, committed - timedelta(hours=1)

    monkeypatch.setattr(module, "ask_replica", an_hour_ago)


def write(tenant):
    with tenant:
        Note.objects.create(text="new", author=tenant.owner)


@pytest.mark.usefixtures("idle")
def test_the_first_commit_after_an_idle_hour_is_no_hour_late(first, streaming):
    standby.refresh()
    with streaming.paused():
        write(first)
        look_again()
        standby.refresh()
        assert standby.replayed < ask("default", FLUSHED)[0]
        assert 0 < standby.lag < 60


@pytest.mark.usefixtures("idle")
def test_a_replica_that_seems_late_is_asked_once_more(first, streaming, monkeypatch):
    """The first look of a process knows of no earlier one."""
    ask_replica = module.ask_replica
    with ExitStack() as stack:

        def ask_and_go_on():
            answer = ask_replica()
            stack.close()
            return answer

        monkeypatch.setattr(module, "ask_replica", ask_and_go_on)
        stack.enter_context(streaming.paused())
        write(first)
        standby.refresh()

    assert standby.lag == 0


@pytest.mark.usefixtures("idle")
def test_a_replica_that_was_set_up_anew_is_late_again(first, streaming):
    standby.refresh()
    with streaming.paused():
        write(first)
        standby.replayed = ask("default", FLUSHED)[0]  # as the one before had
        look_again()
        standby.refresh()

    assert standby.lag > 3600


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


def test_raw_sql_that_writes_goes_to_the_primary(first, streaming):
    with first, streaming.paused(), reading():
        (note,) = Note.objects.raw("UPDATE notes_note SET text = 'raw' RETURNING *")
        assert note.text == Note.objects.get().text == "raw"


@pytest.mark.parametrize(
    "sql", ["UPDATE notes_note SET text = 'raw'", "with them AS (SELECT 1) DELETE FROM notes_note"]
)
def test_raw_sql_counts_as_a_write(first, streaming, sql):
    with first, streaming.paused(), reading():
        assert Note.objects.values_list("text", flat=True).get() == "of first"
        with connection.cursor() as cursor:
            cursor.execute(sql)
        assert "of first" not in Note.objects.values_list("text", flat=True)


def test_reading_from_the_primary_counts_as_no_write(first):
    with first, reading(), asked() as there:
        with transaction.atomic(), transaction.atomic():
            unordered = Tenant.objects.order_by()
            assert list(unordered.union(unordered, all=True).values("pk"))
        assert Note(author=first.owner).author.is_active
        assert Note.objects.count() == 1

    assert len(there) == 1


def test_a_query_that_replaying_cancels_is_asked_of_the_primary(first, streaming):
    """Here by the lock of a statement that the replica has to replay."""
    slow = "SELECT *, pg_sleep(0.5) FROM notes_note"
    change = threading.Thread(target=streaming.conflict, args=(first,))
    with first, reading(), asked() as there, asked("default") as here:
        change.start()
        assert [note.text for note in Note.objects.raw(slow)] == ["of first"]
    change.join()

    assert [slow in there, slow in here] == [True, True]
    assert standby.state == "in use"


def test_a_replica_that_dies_and_returns_under_load_costs_no_page(first, streaming, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.05)
    monkeypatch.setattr(module, "AWAY", 0.1)
    crowd = Crowd(first)
    try:
        for change, state in [
            (lambda: None, "in use"),
            (streaming.kill, "away"),
            (streaming.start, "in use"),
        ] * 2:
            change()
            crowd.ask(40)
            streaming.wait_until(lambda state=state: standby.state == state)
    finally:
        crowd.leave()

    assert crowd.answers == {(HTTPStatus.OK, True)}


class Crowd:
    """Threads that ask for a page, again and again."""

    def __init__(self, tenant):
        self.left, self.answers, self.count = threading.Event(), set(), 0
        self.threads = [threading.Thread(target=self.visit, args=(tenant,)) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def visit(self, tenant):
        client = TenantClient(tenant, tenant.owner)
        while not self.left.is_set():
            response = client.get("/notes/")
            self.answers.add((response.status_code, b"of first" in response.content))
            self.count += 1
        connections.close_all()

    def ask(self, number: int):
        """Wait until so many pages more are answered."""
        goal = self.count + number
        while self.count < goal:
            self.left.wait(0.01)

    def leave(self):
        self.left.set()
        for thread in self.threads:
            thread.join()


async def read_in_an_event_loop(request):
    notes = [note async for note in Note.objects.all()]
    return JsonResponse({"notes": [note.text for note in notes], "db": notes[0]._state.db})


def read_late(request):
    return StreamingHttpResponse(note.text for note in Note.objects.iterator())


urlpatterns = [path("async/", read_in_an_event_loop), path("stream/", read_late)]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("is_async", [False, True])
def test_an_async_view_reads_from_the_replica(first, is_async):
    host = first.get_primary_domain().domain
    with asked() as there:
        if is_async:
            response = async_to_sync(HostClient(host).get)("/async/")
        else:
            response = Client(SERVER_NAME=host).get("/async/")

    assert response.json() == {"notes": ["of first"], "db": "default"}
    assert there


@pytest.mark.urls(__name__)
def test_a_stream_reads_from_the_primary(first):
    with asked() as there:
        response = Client(SERVER_NAME=first.get_primary_domain().domain).get("/stream/")
        with first:
            assert response.getvalue() == b"of first"

    assert there == []


class ThroughReplica(Tenants):
    """What is read outside of transactions comes from the replica."""

    server: Replica

    def read(self):
        if connection.in_atomic_block:
            return super().read()
        self.server.catch_up()
        with reading():
            assert Note.objects.all().db == ALIAS
            return super().read()


class LivesThroughReplica(Lives):
    """What the hosts answer and what tenants contain comes from the replica."""

    server: Replica

    @invariant()
    def each_is_what_it_was_made(self):
        self.server.catch_up()
        with reading(), asked() as there:
            super().each_is_what_it_was_made()
        assert bool(there) == bool(self.lives)


def run_through_replica(machine, server, monkeypatch, settings=None):
    monkeypatch.setattr(machine, "server", server, raising=False)
    # They wait for it themselves. One that has just started counts as late at times.
    monkeypatch.setattr(standby, "is_good", lambda: True)
    run_state_machine_as_test(machine, settings=settings)


def test_no_tenant_sees_what_another_wrote_through_the_replica(streaming, monkeypatch):
    run_through_replica(ThroughReplica, streaming, monkeypatch)


@pytest.mark.usefixtures("pooled")
def test_no_tenant_sees_what_another_wrote_through_replica_and_pooler(streaming, monkeypatch):
    """The primary is behind PgBouncer in session mode."""
    run_through_replica(ThroughReplica, streaming, monkeypatch)


@pytest.mark.usefixtures("guest")
def test_tenants_are_what_their_moves_made_of_them_on_the_replica(streaming, monkeypatch):
    run_through_replica(LivesThroughReplica, streaming, monkeypatch, fewer())


def test_the_isolation_proof_passes_through_the_replica(streaming, settings):
    """Pages read there as outside of a transaction, but for what a view does in its own."""
    pages = patterns(settings.ROOT_URLCONF, is_public=False)
    own = {page.model for page in pages if page.model and is_read_there(page.model)}
    proof = Isolation("replica")
    with asked() as there:
        proof.prove()

    assert Note in own
    assert {model for model in own if any(model._meta.db_table in sql for sql in there)} == own
    assert "GET, HEAD" in proof.report


def headers_of_all(request):
    """Answer HEAD with what is in both tenants."""
    headers = {}
    if request.method == "HEAD":
        schemas = Tenant.objects.filter(slug__in=["first", "other"]).values_list("schema_name")
        tables = [f'SELECT * FROM "{schema}".notes_note' for (schema,) in schemas]  # noqa: S608
        notes = Note.objects.raw(" UNION ALL ".join(tables))
        headers["X-Notes"] = ", ".join(note.text for note in notes)
    return HttpResponse(headers=headers)


def test_the_proof_finds_a_leak_through_the_replica(streaming, settings):
    settings.ROOT_URLCONF = ModuleType("leaky")
    settings.ROOT_URLCONF.urlpatterns = [path("leak/", headers_of_all), *urls.urlpatterns]
    with asked() as there, pytest.raises(AssertionError, match="qxthem"):
        Isolation("replica").prove(only=["leak/"])

    assert any("UNION ALL" in sql for sql in there)


def test_the_doctor_and_the_probe_name_a_late_replica(first, streaming, settings):
    def report():
        look_again()
        found = [message.msg for message in doctor.examine() if message.id == "tenancy.W125"]
        return found, probes.ready(RequestFactory().get("/")).content

    assert report() == ([], report()[1])
    assert b'"replica": "in use"' in report()[1]
    settings.REPLICA_MAX_LAG = -1
    assert report()[0] == ["the replica is late."]
    assert b'"replica": "late"' in report()[1]
