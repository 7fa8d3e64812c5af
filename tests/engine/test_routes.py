"""Where a host leads is remembered, and no request goes by what isn't so any more.

These tests commit, with two connections: a thread has one of its own, as another process would.
"""

import select
from functools import partial

import pytest
from django.core.signals import request_started
from django.db import connection, transaction
from django.test import Client
from server.tenants.models import Domain, Organization, Tenant
from tenancy import lifecycle
from tenancy.database import notified
from tenancy.lifecycle import provision_tenant
from tenancy.models import TenantEvent
from tenancy.requests import routes
from tenancy.requests.middleware import host_of
from tenancy.schemas.ddl import drop_schema

from engine.statements import record
from engine.threads import beside

HOST = "routed.localhost"


@pytest.fixture
def routed(committed_db):
    """A tenant without a schema, to which HOST leads."""
    first = Tenant.objects.get(slug="first")
    tenant = Tenant.objects.create(
        name="Routed",
        slug="routed",
        schema_name="routed_0a1b2c3d",
        organization=first.organization,
        owner=first.owner,
        status=Tenant.Status.ACTIVE,
    )
    Domain.objects.create(tenant=tenant, domain=HOST)
    yield tenant
    Domain.objects.filter(domain=HOST).delete()
    Tenant._base_manager.filter(pk=tenant.pk).delete()
    connection.close()


@pytest.fixture
def statements(routed):
    connection.close()
    connection.ensure_connection()
    return record()


def elsewhere(work, *args):
    """What `work` returns over another connection."""
    with beside(partial(work, *args)) as ended:
        pass
    return ended[0]


def heard(work, *args):
    """The same, when this test's connection has the news."""
    result = elsewhere(work, *args)
    assert select.select([connection.connection], [], [], 10)[0]
    return result


def raw(sql, *args):
    with connection.cursor() as cursor:
        cursor.execute(sql, args)


def test_a_host_costs_no_query_once_it_is_known(statements):
    assert routes.find(HOST).slug == "routed"
    assert routes.find("nobody.localhost") is None
    assert any("LISTEN" in sql for sql in statements)
    statements.clear()

    for _ in range(3):
        request_started.send(sender=None)
        assert routes.find(HOST).slug == "routed"
        assert routes.find("nobody.localhost") is None
        assert Client(SERVER_NAME="nobody.localhost").get("/").status_code == 404

    assert statements == []


def test_the_tenant_is_each_requests_own(routed):
    one, two = routes.find(HOST), routes.find(HOST)
    one.name, one._state.fields_cache["owner"] = "Renamed", None

    for tenant in (two, routes.find(HOST)):
        assert tenant == routed
        assert tenant.name == "Routed"
        assert tenant._state.fields_cache == {}
    two.save()  # is no new row


def suspend(tenant):
    Tenant.objects.filter(pk=tenant.pk).update(status=Tenant.Status.PROVISIONING)


def rename(tenant, save):
    tenant.name = "Renamed"
    save(tenant)


FIRST = Tenant.objects.filter(slug="first")
BY_RAW_SQL = "UPDATE tenants_domain SET tenant_id = 1 WHERE tenant_id = %s"
DELETE = """
    DELETE FROM tenants_domain WHERE tenant_id = %s; DELETE FROM tenants_tenant WHERE id = %s
"""


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (suspend, None),
        (lambda tenant: rename(tenant, Tenant.save), "Renamed"),
        (lambda it: rename(it, lambda it: Tenant.objects.bulk_update([it], ["name"])), "Renamed"),
        (lambda tenant: tenant.domains.get().delete(), None),
        (lambda tenant: tenant.domains.update(tenant=FIRST.get()), "First Tenant"),
        (lambda tenant: raw(DELETE, tenant.pk, tenant.pk), None),
        (lambda tenant: raw(BY_RAW_SQL, tenant.pk), "Main Site"),
    ],
)
def test_what_changes_elsewhere_is_heard_before_the_next_request(routed, change, name):
    assert routes.find(HOST).name == "Routed"

    heard(change, routed)

    assert getattr(routes.find(HOST), "name", None) == name


@pytest.mark.parametrize(
    "change",
    [
        lambda tenant: Domain.objects.create(tenant=tenant, domain="new.localhost"),
        lambda it: Domain.objects.bulk_create([Domain(tenant=it, domain="new.localhost")]),
        lambda tenant: tenant.domains.update(domain="new.localhost"),
    ],
)
def test_a_new_domain_elsewhere_is_not_taken_for_unknown(routed, change):
    assert routes.find("new.localhost") is None

    heard(change, routed)

    assert routes.find("new.localhost") == routed


def test_a_tenant_that_is_made_elsewhere_answers_at_once(routed):
    visitor = Client(SERVER_NAME="made.localhost")
    assert visitor.get("/").status_code == 404

    heard(provision_tenant, "Made", "made", "Made", "admin")
    try:
        assert "Welcome to Made" in visitor.get("/").text
    finally:
        tenant = Tenant.objects.get(slug="made")
        drop_schema(tenant.schema_name)
        Tenant._base_manager.filter(pk=tenant.pk).delete()
        Organization.objects.get(name="Made").delete()


def test_a_tenant_that_is_being_made_answers_when_it_is_ready(routed):
    """And its transaction, which notifies nobody, keeps no other from committing."""
    Tenant.objects.filter(pk=routed.pk).update(status=Tenant.Status.PROVISIONING)
    assert routes.find(HOST) is None

    elsewhere(partial(Tenant.all_objects.filter(pk=routed.pk).update, status=Tenant.Status.ACTIVE))
    raw("SELECT")  # with whose answer a notification comes

    assert not connection.notifications
    assert routes.find(HOST) == routed


def test_what_a_process_changes_itself_it_knows(routed):
    assert routes.find(HOST)

    suspend(routed)

    assert routes.find(HOST) is None


def test_news_that_come_with_another_query_are_not_missed(routed):
    assert routes.find(HOST)

    heard(suspend, routed)
    assert Tenant.objects.exists()

    assert routes.find(HOST) is None


def test_an_answer_that_is_out_of_date_when_it_comes_is_not_remembered(routed):
    def meanwhile(execute, *query):
        answer = execute(*query)
        heard(suspend, routed)
        return answer

    assert routes.find("nobody.localhost") is None  # listens from now on
    with connection.execute_wrapper(meanwhile):
        routes.find(HOST)

    assert routes.find(HOST) is None


def test_in_a_transaction_nothing_is_remembered(routed):
    assert routes.find(HOST)
    assert routes.find("new.localhost") is None

    with transaction.atomic():
        routed.domains.update(domain="new.localhost")
        assert routes.find("new.localhost") == routed
        assert routes.find(HOST) is None
        transaction.set_rollback(True)

    assert routes.find("new.localhost") is None
    assert routes.find(HOST) == routed


def killed(pid):
    raw("SELECT pg_terminate_backend(%s)", pid)


def test_a_move_that_is_made_elsewhere_holds_for_the_next_request(routed):
    visitor = Client(SERVER_NAME=HOST)
    try:
        for move, status in (
            (lifecycle.suspend, 503),
            (lifecycle.delete, 410),
            (lifecycle.undelete, 503),
        ):
            assert visitor.get("/").status_code != status
            heard(move, routed, "test")
            assert visitor.get("/").status_code == status
        heard(lifecycle.resume, routed, "test")
        heard(lambda: lifecycle.rename(routed, "test", slug="new"))
        assert visitor.get("/a")["Location"] == "http://new.localhost/a"
    finally:
        TenantEvent.objects.filter(by="test").delete()


@pytest.mark.parametrize("status", [503, 410, 307])
def test_hosts_that_only_answer_cost_no_query(routed, statements, status):
    if status == 307:
        Domain.objects.filter(domain=HOST).update(is_primary=False, redirects=True)
        Domain.objects.create(tenant=routed, domain="new.localhost")
    else:
        states = {503: Tenant.Status.SUSPENDED, 410: Tenant.Status.DELETED}
        Tenant.objects.filter(pk=routed.pk).update(status=states[status])
    visitor = Client(SERVER_NAME=HOST)
    assert visitor.get("/").status_code == status
    statements.clear()

    assert visitor.get("/").status_code == status

    assert statements == []


def test_a_connection_that_the_server_ended_is_no_visitors_error(routed):
    visitor = Client(SERVER_NAME="first.localhost")
    assert visitor.get("/").status_code == 200
    assert routes.find(HOST)
    before = connection.connection

    heard(killed, before.info.backend_pid)
    elsewhere(suspend, routed)

    assert visitor.get("/").status_code == 200
    assert connection.connection is not before
    assert routes.find(HOST) is None


def test_each_query_of_a_new_request_finds_a_server_that_was_away(routed):
    assert Tenant.objects.exists()

    heard(killed, connection.connection.info.backend_pid)

    connection.close_if_unusable_or_obsolete()
    assert Tenant.objects.exists()


def test_a_minute_later_a_query_asks_whether_the_server_is_there(routed, statements, monkeypatch):
    """What is known of hosts stays: its answer comes after all notifications."""
    now = connection.believed_until
    monkeypatch.setattr(notified.time, "monotonic", lambda: now - 1)
    routes.find(HOST)
    statements.clear()
    routes.find(HOST)
    assert statements == []

    monkeypatch.setattr(notified.time, "monotonic", lambda: now)
    assert routes.find(HOST).name == "Routed"
    assert statements == ["SELECT pg_listening_channels()"]

    monkeypatch.setattr(notified.time, "monotonic", lambda: now + notified.SECONDS)
    heard(lambda: rename(routed, Tenant.save))
    assert routes.find(HOST).name == "Renamed"


def test_a_minute_later_a_connection_that_listens_no_more_has_forgotten_all(routed, monkeypatch):
    assert routes.find(HOST).name == "Routed"
    with connection.cursor() as cursor:
        cursor.execute("UNLISTEN *")
    rename(routed, Tenant.save)

    now = connection.believed_until
    monkeypatch.setattr(notified.time, "monotonic", lambda: now)
    assert routes.find(HOST).name == "Renamed"


@pytest.mark.usefixtures("routed")
def test_the_memory_does_not_grow_without_end(monkeypatch):
    monkeypatch.setattr(routes, "MAX_CACHED_HOSTS", 10)
    assert routes.find(HOST)
    for number in range(25):
        routes.find(f"nobody-{number}.localhost")
    known, unknown = (connection.cache_for(routes.CHANNEL)[name] for name in ("known", "unknown"))

    assert 0 < len(unknown) <= 10
    assert HOST in known  # what leads nowhere takes no room from it
    known.update(dict.fromkeys(map(str, range(10))))
    routes.find("first.localhost")
    assert [*known] == ["first.localhost"]


def test_a_tenant_that_is_about_to_go_is_looked_up_once(routed, statements):
    Tenant.objects.filter(pk=routed.pk).update(status=Tenant.Status.PURGING)
    assert routes.find(HOST) is None
    statements.clear()

    assert routes.find(HOST) is None
    assert statements == []


def test_a_host_that_is_too_long_for_one_is_not_remembered():
    remembered = host_of.cache_info().currsize

    assert Client(SERVER_NAME=f"{'a' * 300}.localhost").get("/").status_code == 404

    assert host_of.cache_info().currsize == remembered


def test_a_status_can_be_longer_one_day(committed_db):
    """A trigger that names the column in its own definition would forbid it."""
    raw("ALTER TABLE tenants_tenant ALTER COLUMN status TYPE varchar(21)")
    raw("ALTER TABLE tenants_tenant ALTER COLUMN status TYPE varchar(20)")


@pytest.mark.usefixtures("routed")
def test_no_thread_reads_anothers_memory():
    assert routes.find(HOST)

    assert elsewhere(lambda: connection.cache_for(routes.CHANNEL)) == {}
