"""Who is signed in at one host is nobody at another, and who has signed out is nobody anywhere."""

import runpy

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django_tenants.utils import schema_context
from server import settings as settings_file
from tenancy.models import TenantEvent
from tenancy.testing import TenantClient

OWN_PAGES = ["/", "/notes/", "/admin/", "/admin/notes/note/", "/admin/logout/", "/media/x.txt"]
OPEN_PAGES = {"/admin/login/": 302, "/sign-in/": 302, "/account/": 302, "/nowhere/": 404}


@pytest.fixture(params=["db", "cached_db"])
def _engine(request, settings):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    cache.clear()


def with_cookie(host, sessionid):
    client = Client(SERVER_NAME=host)
    client.cookies[settings.SESSION_COOKIE_NAME] = sessionid
    return client


def user_at(client):
    return client.get("/").wsgi_request.user


@pytest.mark.usefixtures("_engine")
def test_a_session_of_one_host_opens_no_other(tenant):
    other_owner = get_user_model().objects.get(username="other")
    tenant.add_user(other_owner)  # member of both tenants, signed in at one
    client = TenantClient(tenant, other_owner)
    sessionid = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert user_at(client) == other_owner

    for host in ("localhost", "other.localhost"):
        assert user_at(with_cookie(host, sessionid)).is_anonymous


@pytest.mark.usefixtures("_engine")
def test_a_session_does_not_outlive_signing_out(tenant):
    client = TenantClient(tenant, tenant.owner)
    sessionid = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert user_at(client) == tenant.owner

    client.post("/sign-out/")

    assert user_at(with_cookie("first.localhost", sessionid)).is_anonymous


@pytest.mark.usefixtures("_engine")
def test_a_session_does_not_outlive_the_password(tenant):
    client = TenantClient(tenant, tenant.owner)
    assert user_at(client) == tenant.owner

    tenant.owner.set_password("another")
    tenant.owner.save()

    assert user_at(client).is_anonymous


@pytest.mark.usefixtures("_engine")
def test_signing_out_at_one_host_leaves_no_other(tenant, public):
    at_home, at_work = TenantClient(public, tenant.owner), TenantClient(tenant, tenant.owner)

    at_home.post("/sign-out/")

    assert user_at(at_home).is_anonymous
    assert user_at(at_work) == tenant.owner


def test_what_one_tenant_caches_no_other_reads(tenant, other_tenant, public):
    cache.set("secret", "of the first")

    for stranger in (other_tenant, public):
        with stranger:
            assert cache.get("secret") is None
            cache.set("secret", "of another")
    assert cache.get("secret") == "of the first"


def test_who_is_no_member_sees_nothing_of_the_tenant_and_can_leave(tenant, settings):
    settings.DEBUG = False
    name = "secret of the tenant"
    TenantClient(tenant, tenant.owner).post("/notes/", {"text": name})
    client = TenantClient(tenant, get_user_model().objects.get(username="other"))

    for path in OWN_PAGES:
        for answer in (client.get(path), client.post(path, {"text": "mine"})):
            assert answer.status_code == 403, path
            assert "You don't have access to First Tenant" in answer.text
            assert 'action="/sign-out/"' in answer.text
            assert name not in answer.text
    for path, status in OPEN_PAGES.items():
        answer = client.get(path)
        assert answer.status_code == status, path
        assert name not in answer.text
        assert "First Organization" not in answer.text
        assert 'href="/notes/"' not in answer.text
    assert client.get("/notes").status_code == 301  # only where the slash belongs
    assert client.post("/sign-out/").status_code == 302
    assert user_at(client).is_anonymous


def settings_where(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(settings_file.__file__)


def test_a_shared_cache_holds_sessions_and_one_of_a_process_never_does(monkeypatch):
    alone = settings_where(monkeypatch)
    shared = settings_where(monkeypatch, CACHE_URL="redis://localhost:6379/1")

    assert alone["SESSION_ENGINE"].endswith(".db")
    assert shared["SESSION_ENGINE"].endswith(".cached_db")
    assert shared["CACHES"]["default"] == {
        "KEY_PREFIX": alone["CACHES"]["default"]["KEY_PREFIX"],
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://localhost:6379/1",
        "KEY_FUNCTION": alone["CACHES"]["default"]["KEY_FUNCTION"],
        "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2},
    }


def test_no_other_host_can_set_a_cookie_where_tls_is_on(monkeypatch):
    """Browsers take a `__Host-` cookie from its own host only: Secure, Path=/ and no Domain."""
    secure = settings_where(monkeypatch, HTTPS="on")

    for cookie in ("SESSION_COOKIE", "CSRF_COOKIE"):
        assert secure[f"{cookie}_NAME"].startswith("__Host-")
        assert secure[f"{cookie}_SECURE"]
        assert not {f"{cookie}_DOMAIN", f"{cookie}_PATH"} & secure.keys()


def signed_in(client, path="/notes/"):
    return client.get(path).status_code == 200


@pytest.mark.usefixtures("_engine")
def test_all_sessions_end_at_once(tenant_client, other_client, public_client, run):
    def states():
        return [
            signed_in(tenant_client),
            signed_in(other_client),
            signed_in(public_client, "/account/"),
        ]

    assert states() == [True, True, True]

    assert run("end_sessions", "--all", by="ada").startswith("The sessions of ")

    assert states() == [False, False, False]
    with schema_context("public"):
        assert TenantEvent.objects.get(action="end all sessions").by == "ada"


@pytest.mark.parametrize("arguments", [[], ["other", "--all"]])
@pytest.mark.usefixtures("db")
def test_whose_sessions_end_is_said_once(arguments):
    with pytest.raises(CommandError, match="Name a person, or write --all"):
        call_command("end_sessions", *arguments)


@pytest.mark.usefixtures("_engine")
def test_one_persons_sessions_end(tenant_client, other_client, run):
    run("end_sessions", "other")

    assert [signed_in(tenant_client), signed_in(other_client)] == [True, False]
