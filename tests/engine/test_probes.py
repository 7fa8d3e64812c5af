"""What machines ask a process, on its internal port."""

import json
import sys
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from server.celery import app
from server.tenants.models import Domain, Tenant
from tenancy.health import probes
from tenancy.lifecycle import add_domain, suspend

from engine.site import serving
from engine.test_time_limits import redis_cache
from engine.workers import closed_database, use

PORT = 9000
INTERNAL = ("/_health/ready", "/_metrics", "/_tls/ask?domain=first.localhost")


@pytest.fixture
def ask(settings):
    settings.INTERNAL_PORT = PORT
    return partial(Client(raise_request_exception=False).get, SERVER_PORT=str(PORT))


@pytest.mark.parametrize("host", ["first.localhost", "nobody.example.com", "10.0.0.1:8000", "\0"])
def test_a_process_that_answers_is_alive_without_a_database(settings, host):
    """There is none: the test asks for no fixture that makes one."""
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = []

    page = Client().get("/_health/live", headers={"host": host})

    assert (page.status_code, page.text) == (200, "ok\n")


@pytest.mark.parametrize("path", INTERNAL)
@pytest.mark.parametrize(
    "outside",
    [
        {"SERVER_PORT": "8000"},
        {"HTTP_HOST": f"first.localhost:{PORT}"},
        {"SERVER_PORT": str(PORT), "HTTP_X_FORWARDED_FOR": "192.0.2.1"},
        {"SERVER_PORT": str(PORT), "REMOTE_ADDR": ""},  # as gunicorn's of a socket in a file
    ],
    ids=["public port", "named port", "proxy", "socket"],
)
def test_nothing_else_is_answered_outside(settings, path, outside):
    settings.INTERNAL_PORT = PORT

    assert Client().get(path, **outside).status_code == 404


def test_without_an_internal_port_none_is_one(settings):
    settings.INTERNAL_PORT = None

    assert Client().get(INTERNAL[0], SERVER_PORT="None").status_code == 404


def test_a_process_is_ready(db, ask):
    page = ask("/_health/ready")

    assert page.status_code == 200
    assert page.json() == dict.fromkeys(["database", "migrations", "cache", "disk", "broker"], "ok")


def test_a_process_is_not_ready_before_the_main_website_is_migrated(db, ask):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'notes'")
    page = ask("/_health/ready")

    assert page.status_code == 503
    assert page.json()["migrations"] == "not migrated: notes.0001_initial"


def no_cache(settings):
    settings.CACHES = redis_cache(1)


def no_broker(settings):
    use(broker_url="redis://127.0.0.1:1/0")


def no_disk(settings):
    probes.MIN_FREE = 2**80


@pytest.fixture
def undone():
    before, free = {"broker_url": app.conf.broker_url}, probes.MIN_FREE
    yield
    use(**before)
    probes.MIN_FREE = free


@pytest.mark.usefixtures("undone")
@pytest.mark.parametrize(
    ("name", "away", "reason"),
    [
        ("cache", no_cache, "ConnectionError: "),
        ("broker", no_broker, "ConnectionError: "),
        ("disk", no_disk, "MB are free in "),
    ],
)
def test_a_process_is_not_ready_while_something_is_away(db, ask, settings, name, away, reason):
    away(settings)
    page = ask("/_health/ready")

    assert page.status_code == 503
    assert reason in page.json().pop(name)
    assert [*page.json().values()].count("ok") == 4


def test_a_project_adds_a_check_of_its_own(db, ask, monkeypatch):
    monkeypatch.setattr(probes, "READINESS", {})
    probes.readiness("search")(lambda: "no index")

    assert ask("/_health/ready").json() == {"search": "no index"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("first.localhost", 200),
        ("FIRST.localhost.", 200),
        ("www.first.localhost", 200),
        ("localhost", 200),
        ("shop.example.org", 200),  # a customer's
        ("shop.localhost", 200),  # an earlier one, which redirects
        ("other.localhost", 200),  # suspended
        ("gone.localhost", 200),  # deleted, and can still come back
        ("long-gone.localhost", 404),
        ("nobody.localhost", 404),
        ("evil.example.com", 404),
        ("", 404),
        ("10.0.0.1", 404),
        ("a" * 300, 404),
        ("first.localhost\0", 404),
    ],
)
def test_certificates_are_for_hosts_that_lead_somewhere(tenant, other_tenant, ask, host, status):
    add_domain(tenant, "shop.localhost", by="test")
    add_domain(tenant, "shop.example.org", by="test")
    add_domain(tenant, "first.localhost", by="test", is_primary=True)
    Domain.objects.filter(domain="shop.localhost").update(redirects=True)
    suspend(other_tenant, by="test")
    for slug, days in (("gone", 29), ("long-gone", 31)):
        deleted_before(tenant, slug, timedelta(days=days))

    assert ask("/_tls/ask", {"domain": host}).status_code == status


def test_the_main_websites_process_knows_the_workspaces_hosts(tenant, ask, settings):
    settings.ALLOWED_HOSTS = ["localhost"]

    assert ask("/_tls/ask", {"domain": "first.localhost"}).status_code == 200


def deleted_before(tenant, slug, time):
    row = Tenant.objects.create(
        name=slug,
        slug=slug,
        schema_name=f"{slug}_0a1b2c3d",
        organization=tenant.organization,
        owner=tenant.owner,
        status=Tenant.Status.DELETED,
        deleted=timezone.now() - time,
    )
    Domain.objects.create(tenant=row, domain=f"{slug}.localhost")


def test_new_certificates_are_limited_and_known_hosts_are_not(tenant, ask, settings):
    settings.TENANCY_RATES = {"certificate": "1/1h"}
    for _ in range(2):
        assert ask("/_tls/ask", {"domain": "first.localhost"}).status_code == 200
    assert ask("/_tls/ask", {"domain": "nobody.localhost"}).status_code == 404
    late = ask("/_tls/ask", {"domain": "other.localhost"})

    assert late.status_code == 429
    assert int(late["Retry-After"]) > 3000
    assert ask("/_tls/ask", {"domain": "first.localhost"}).status_code == 200


SETTINGS = "INTERNAL_PORT = {port}\nSECURE_SSL_REDIRECT = True\n"


def test_gunicorns_second_port_is_internal_and_says_that_the_database_is_away(
    committed_db, tmp_path, free_port
):
    connection.ensure_connection()  # for what opens and closes the database
    with serving(tmp_path, free_port, SETTINGS.format(port=free_port)) as site:
        assert site.get("/_health/ready", host="10.0.0.1").status == 200
        with closed_database():
            assert site.get("/_health/live").status == 200
            away = site.get("/_health/ready")
            assert away.status == 503
            assert json.loads(away.text)["database"].startswith("No connection")
            assert site.get("/_tls/ask?domain=first.localhost").status == 503
            assert site.get("/_metrics").status == 503
        assert site.get("/_health/ready").status == 200
        assert site.get("/_health/ready", X_Forwarded_For="192.0.2.1").status == 404
    with serving(tmp_path, free_port, SETTINGS.format(port=free_port + 1)) as site:
        assert site.get("/_health/ready").status == 404
        assert site.get("/_health/live").status == 200


def test_metrics_count_tenants_and_name_none(tenant, other_tenant, ask, monkeypatch):
    suspend(other_tenant, by="test")
    with tenant, connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'notes'")
    from tenancy.health import metrics  # needs the optional library

    monkeypatch.setattr(metrics, "SECONDS", 0)

    page = ask("/_metrics")

    lines = page.text.splitlines()
    assert 'tenancy_tenants{status="active"} 1.0' in lines
    assert 'tenancy_tenants{status="suspended"} 1.0' in lines
    assert 'tenancy_tenants_migrations{state="pending"} 1.0' in lines
    assert 'tenancy_tenants_migrations{state="current"} 1.0' in lines
    assert "python_info" in page.text
    assert "first" not in page.text


def test_metrics_without_the_library_say_what_to_install(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "tenancy.health.metrics", raising=False)

    page = ask("/_metrics")

    assert page.status_code == 501
    assert "uv sync --group metrics" in page.text
