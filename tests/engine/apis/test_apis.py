"""I1: an API lets only members of the tenant read and write, however it identifies a person."""

import base64
import logging
import secrets
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone
from knox.models import AuthToken
from oauth2_provider.models import AccessToken, Application
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.tokens import RefreshToken
from server.notes.models import Note
from tenancy import support
from tenancy.people.accounts import deactivate, end_sessions, reactivate
from tenancy.people.members import add_member, remove_member
from tenancy.testing import TenantClient

from engine.test_support import ENTER, browser_of, make_operator

User = get_user_model()
PASSWORD = "analytical engine"  # of the fixture `ada`


@pytest.fixture(autouse=True)
def _apis(settings):
    settings.ROOT_URLCONF = settings.PUBLIC_SCHEMA_URLCONF = "engine.apis.urls"


def basic(user):
    pair = base64.b64encode(f"{user.username}:{PASSWORD}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


def token(user):
    row, _ = Token.objects.get_or_create(user=user)
    return {"authorization": f"Token {row.key}"}


def bearer(user):
    return {"authorization": token(user)["authorization"].replace("Token", "Bearer")}


def knox(user):
    return {"authorization": f"Token {AuthToken.objects.create(user)[1]}"}


def jwt(user):
    return {"authorization": f"Bearer {RefreshToken.for_user(user).access_token}"}


def oauth(user):
    application, _ = Application.objects.get_or_create(
        name="phone", client_type="public", authorization_grant_type="authorization-code"
    )
    row = AccessToken.objects.create(
        user=user,
        application=application,
        token=secrets.token_hex(),
        scope="read write",
        expires=timezone.now() + timedelta(hours=1),
    )
    return {"authorization": f"Bearer {row.token}"}


# The path, and what makes a credential. The libraries refuse by themselves.
KINDS = {
    "token": token,
    "open/token": token,
    "knox": knox,
    "open/knox": knox,
    "jwt": jwt,
    "open/jwt": jwt,
    "oauth": oauth,
    "ninja": bearer,
}
# These ask nothing about the person, so only the net is left.
CARELESS = {
    "open/oauth": oauth,
    "protected": oauth,
    "careless-ninja": bearer,
    "row-ninja": bearer,
    "open/header": lambda user: {"X-Person": user.username},
    "asynchronous": lambda user: {"X-Person": user.username},
    "decorated": lambda user: {"X-Person": user.username},
}
BOUND = {
    name: make
    for name, make in (KINDS | CARELESS).items()
    if make.__name__ in ("token", "bearer", "knox", "jwt", "oauth")
}


@pytest.fixture
def note(tenant):
    return Note.objects.create(text="secret", author=tenant.owner)


def made(tenant, make, user):
    with tenant:
        return make(User.objects.get(pk=user.pk))


def is_let_in(tenant, name, headers):
    """Whether a read and a write succeed: both or neither."""
    with tenant:
        before = Note.objects.count()
    client = TenantClient(tenant)
    read = client.get(f"/api/{name}/", headers=headers)
    written = client.post(f"/api/{name}/", {}, headers=headers)
    with tenant:
        after = Note.objects.count()
    if read.status_code in (401, 403):
        assert written.status_code in (401, 403)
        assert "secret" not in read.text + written.text
        assert after == before
        return False
    assert (read.status_code, written.status_code // 100) == (200, 2)
    assert "secret" in read.text
    assert after == before + 1
    return True


def errors(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.usefixtures("note")
@pytest.mark.parametrize(("name", "make"), (KINDS | CARELESS).items())
def test_only_a_member_is_let_in(tenant, ada, name, make, caplog):
    """I1: before, during and after a membership."""
    assert not is_let_in(tenant, name, made(tenant, make, ada))
    assert bool(errors(caplog)) == (name in CARELESS)
    caplog.clear()

    add_member(tenant, "ada", by="test")
    assert is_let_in(tenant, name, made(tenant, make, ada))
    assert errors(caplog) == []

    headers = made(tenant, make, ada)
    remove_member(tenant, "ada", by="test")
    assert not is_let_in(tenant, name, headers)


@pytest.mark.usefixtures("note")
@pytest.mark.parametrize(("name", "make"), BOUND.items())
def test_a_credential_is_of_one_tenant_and_one_membership(tenant, other_tenant, ada, name, make):
    """I1: one of another tenant is void for a member of both, and an old one stays dead."""
    for each in (tenant, other_tenant):
        add_member(each, "ada", by="test")
    early = made(tenant, make, ada)
    assert not is_let_in(tenant, name, made(other_tenant, make, ada))
    assert is_let_in(tenant, name, early)

    remove_member(tenant, "ada", by="test")
    while_nobody = made(tenant, make, ada)
    add_member(tenant, "ada", by="test")
    assert not is_let_in(tenant, name, early)
    assert not is_let_in(tenant, name, while_nobody)

    late = made(tenant, make, ada)
    assert is_let_in(tenant, name, late)
    end_sessions("ada", by="test")
    assert not is_let_in(tenant, name, late)

    last = made(tenant, make, ada)
    assert is_let_in(tenant, name, last)
    deactivate("ada", by="test")
    assert not is_let_in(tenant, name, last)
    reactivate("ada", by="test")
    add_member(tenant, "ada", by="test")
    assert not is_let_in(tenant, name, last)


@pytest.mark.usefixtures("note")
@pytest.mark.parametrize("name", ["session", "open/session", "session-ninja"])
def test_a_session_of_a_stranger_reads_and_writes_nothing(tenant, ada, name):
    """I1: django-rest-framework's views are open to MembershipMiddleware."""
    client = TenantClient(tenant, ada)
    for method in (client.get, client.post):
        answer = method(f"/api/{name}/")
        if name == "open/session":  # anybody may
            assert not getattr(answer.wsgi_request.user, "pk", None)
        else:
            assert answer.status_code in (401, 403)


@pytest.mark.usefixtures("note")
@pytest.mark.parametrize("place", ["first", "public"])
def test_no_api_takes_a_password(tenant, public, ada, place):
    """I9: not even a member's. Programs have tokens and keys."""
    add_member(tenant, "ada", by="test")
    if place == "public":
        tenant, _ = public, tenant.deactivate()
    for name in ("basic", "open/basic", "basic-ninja"):
        answer = TenantClient(tenant).get(f"/api/{name}/", headers=basic(ada))
        assert answer.status_code in (401, 403), name
        assert "secret" not in answer.text
    for name in ("obtain", "jwt-obtain"):
        names = {"username": "ada", "password": PASSWORD}
        answer = TenantClient(tenant).post(f"/api/{name}/", names)
        assert answer.status_code in (400, 401), name


def test_no_program_gets_a_token_for_a_password(tenant, ada):
    """The grant of OAuth by which a program sends the person's password."""
    add_member(tenant, "ada", by="test")
    application = Application.objects.create(
        client_type="public", authorization_grant_type="password", name="phone"
    )
    form = {"grant_type": "password", "username": "ada", "password": PASSWORD}
    form["client_id"] = application.client_id

    answer = TenantClient(tenant).post("/api/oauth-obtain/", form)

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"
    assert not AccessToken.objects.exists()


def test_a_refresh_token_ends_with_the_membership(tenant, other_tenant, ada):
    """I1"""
    for each in (tenant, other_tenant):
        add_member(each, "ada", by="test")
    refresh = {"refresh": str(RefreshToken.for_user(ada))}
    assert TenantClient(tenant).post("/api/jwt-refresh/", refresh).status_code == 200
    assert TenantClient(other_tenant).post("/api/jwt-refresh/", refresh).status_code == 401

    remove_member(tenant, "ada", by="test")
    assert TenantClient(tenant).post("/api/jwt-refresh/", refresh).status_code == 401
    add_member(tenant, "ada", by="test")
    assert TenantClient(tenant).post("/api/jwt-refresh/", refresh).status_code == 401


@pytest.mark.usefixtures("note")
def test_a_token_without_a_person_is_caught(tenant, ada, caplog):
    """I1: OAuth's client credentials, simplejwt's TokenUser, a key that django-ninja accepts."""
    add_member(tenant, "ada", by="test")
    with tenant:
        client_credentials, key = oauth(None), {"X-Key": "any"}
    for name, headers in [
        ("open/oauth", client_credentials),
        ("open/stateless", jwt(ada)),
        ("key-ninja", key),
    ]:
        caplog.clear()
        assert not is_let_in(tenant, name, headers)
        assert len(errors(caplog)) == 2


@pytest.mark.usefixtures("note")
def test_what_the_view_of_a_stranger_did_is_undone_and_logged(
    tenant, ada, caplog, django_capture_on_commit_callbacks
):
    """I1: also what waits for the commit, and a stream, which is never read."""
    client, headers = TenantClient(tenant), {"X-Person": "ada"}
    with django_capture_on_commit_callbacks() as callbacks:
        assert client.post("/api/streamed/", headers=headers).status_code == 403
        assert client.get("/api/streamed/", headers=headers).status_code == 403
    assert callbacks == []

    assert [*Note.objects.values_list("text", flat=True)] == ["secret"]
    refused = [record for record in caplog.records if record.name == "django.request"]
    assert [record.levelname for record in refused] == ["ERROR", "ERROR"]
    assert "ada" in refused[0].getMessage()
    assert "rolled back" in refused[0].getMessage()
    assert "changes stay" in refused[1].getMessage()


def test_only_a_write_by_an_unknown_person_costs_a_transaction(tenant, public, tenant_client):
    """I1"""
    depth = len(connection.atomic_blocks)
    visitor = TenantClient(tenant)
    assert visitor.post("/api/depth/").json() == depth + 1
    for ask in (
        visitor.get,
        tenant_client.get,
        tenant_client.post,
        TenantClient(public).post,
    ):
        assert ask("/api/depth/").json() == depth
    assert visitor.post("/api/depth-without/").json() == depth


def test_the_column_is_never_what_a_tenant_is_told(tenant, ada):
    """I1: a person without a membership is inactive here, and the column keeps its value."""
    user = User.objects.get(pk=ada.pk)
    assert (user.is_active, user.is_authenticated, user.is_active_anywhere) == (False, False, True)

    def stored():
        return User.objects.filter(pk=ada.pk).values_list("is_active", flat=True).get()

    user.full_clean(exclude=["password"])
    user.save()
    user.refresh_from_db()
    user.is_active = user.is_active
    user.save()
    user.save_base(raw=True)
    User.objects.bulk_update([user], ["is_active", "name"])
    User.objects.update_or_create(pk=ada.pk, defaults={"name": "Ada"})
    deferred = User.objects.only("username").get(pk=ada.pk)
    deferred.full_clean(exclude=["password"])
    deferred.save()
    assert stored()
    assert user.membership is None

    connection.set_schema_to_public()
    assert user.is_active
    user.is_active = False
    user.save(update_fields=["is_active"])
    assert not stored()
    assert not User(is_active=False).is_active
    assert User.objects.get(is_active=False, pk=ada.pk) == ada


def test_memberships_cost_no_query_where_the_backend_has_loaded_the_person(
    tenant, ada, django_assert_num_queries
):
    from tenancy.isolation.membership import membership_of
    from tenancy.people.backend import UserBackend

    add_member(tenant, "ada", "admin", by="test")
    with django_assert_num_queries(1):
        user = UserBackend().get_user(ada.pk)
        assert membership_of(user, tenant).role == "admin"
        assert user.is_active
        assert user.is_authenticated


SESSIONS = ("session", "open/session", "session-ninja")


@pytest.fixture
def as_support(outside, ada, public, settings):
    """Return a client that an operator has signed in to the tenant for support."""

    settings.PUBLIC_SCHEMA_URLCONF = "server.urls_public"
    make_operator(ada)

    def enter(may_write):
        support.allow(outside, outside.owner, timedelta(days=1), may_write=may_write)
        browser = browser_of(ada, public)
        assert browser.open(ENTER).status_code == 200
        return browser.at("first.localhost")

    return enter


@pytest.mark.usefixtures("note")
@pytest.mark.parametrize("name", SESSIONS)
def test_support_reads_and_writes_by_its_session_as_it_may(as_support, outside, name):
    client = as_support(may_write=False)
    assert "secret" in client.get(f"/api/{name}/").text
    answer = client.post(f"/api/{name}/", {}, headers={"accept": "application/json"})
    assert answer.status_code == 403
    assert "may only read" in answer.json()["detail"]
    with outside:
        assert Note.objects.count() == 1

    client = as_support(may_write=True)
    assert client.post(f"/api/{name}/", {}).status_code // 100 == 2
    with outside:
        assert Note.objects.count() == 2


@pytest.mark.usefixtures("note")
@pytest.mark.parametrize(("name", "make"), BOUND.items())
def test_support_has_no_tokens(as_support, outside, ada, name, make):
    as_support(may_write=True)
    assert not is_let_in(outside, name, made(outside, make, ada))
