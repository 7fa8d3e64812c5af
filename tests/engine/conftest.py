"""The engine's tests, which run in a rendered project with all options (`bin/test-engine`)."""

import socket

import pytest
import server.urls_public  # noqa: F401 (its URLs depend on SIGN_UP, which tests change)
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django_tenants.signals import schema_migrated
from hypothesis import settings
from server.tenants.receivers import fill_materialized_views
from tenancy.models import TenantEvent
from tenancy.people import accounts

from engine import coordinator
from engine.browser import Browser
from engine.people import GUEST, erase
from engine.pgbouncer import own_server, pgbouncer
from engine.s3 import seaweedfs
from engine.signals import connected
from engine.zoo import APP, Zoo

settings.register_profile(
    "quick", max_examples=8, stateful_step_count=20, deadline=None, database=None
)
settings.register_profile(
    "thorough", settings.get_profile("quick"), max_examples=140, stateful_step_count=40
)
settings.load_profile("quick")

collect_ignore = (
    [] if apps.is_installed("tenancy.postgis") else ["test_places.py", "test_postgis.py"]
)
# `test_apis.py` and `test_social.py` run these with other settings.
if not apps.is_installed("knox"):
    collect_ignore += ["apis"]
if not apps.is_installed("allauth.socialaccount"):
    collect_ignore += ["social"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings, django_db_blocker):
    """On Citus each node gets a test database."""
    with django_db_blocker.unblock():
        if coordinator.SUPERUSER:
            coordinator.use()


def pytest_configure(config):
    config.addinivalue_line("markers", "citus: the test needs a coordinator in DATABASE_URL")


def pytest_collection_modifyitems(config, items):
    if coordinator.SUPERUSER:
        return
    there = [item for item in items if not item.get_closest_marker("citus")]
    config.hook.pytest_deselected(items=[item for item in items if item not in there])
    items[:] = there


@pytest.fixture
def outside(tenant):
    """The tenant of the fixture `tenant`, for a test that runs in the public schema."""
    tenant.deactivate()
    return tenant


@pytest.fixture
def guest(committed_db):
    """A person of the random lives."""
    guest = accounts.create_user(GUEST, "guest@localhost")
    yield
    accounts.deactivate(GUEST, "test")
    erase(get_user_model().objects.filter(pk=guest.pk))
    TenantEvent.objects.exclude(by="admin").delete()


@pytest.fixture
def pooled(committed_db, tmp_path):
    """All connections to the tests' database go through a PgBouncer in session mode."""
    with (
        pgbouncer(tmp_path, own_server(), "session") as address,
        pytest.MonkeyPatch.context() as patch,
    ):
        place = {name: address[name] for name in ("HOST", "PORT")}
        for name, value in {**place, "SERVER": lambda: place}.items():
            patch.setitem(connection.settings_dict, name, value)
        connection.close()
        yield
        connection.ensure_connection()
        assert connection.connection.info.port == address["PORT"]
        connection.close()


@pytest.fixture
def browser(outside):
    """A browser without any session."""
    return Browser()


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command, which has nobody to ask; returns what it wrote."""
    monkeypatch.setattr("sys.stdin", None)

    def run(*arguments, **options):
        call_command(*arguments, **options)
        return capsys.readouterr().out.strip()

    return run


@pytest.fixture
def views_filled():
    """With the project's example of a receiver that fills materialized views."""
    with connected(fill_materialized_views, schema_migrated):
        yield


@pytest.fixture
def zoo(committed_db, tmp_path, monkeypatch):
    """A fleet of a few tenants, and an app whose migrations the test writes (`engine/zoo.py`)."""
    monkeypatch.syspath_prepend(tmp_path)
    zoo = Zoo(tmp_path)
    apps = {
        name: [*getattr(django_settings, name), APP] for name in ("INSTALLED_APPS", "TENANT_APPS")
    }
    try:
        with override_settings(**apps):
            zoo.open()
            yield zoo
    finally:
        zoo.close()


@pytest.fixture(scope="session")
def s3_host(tmp_path_factory):
    """The host and port of an object storage that has the bucket `uploads`."""
    with seaweedfs(tmp_path_factory.mktemp("s3")) as host:
        yield host


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
