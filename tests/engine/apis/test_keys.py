"""Keys for programs, with Django REST framework and django-ninja."""

import pytest
from django.db import connection
from rest_framework_simplejwt.tokens import RefreshToken
from server.notes.models import Note
from tenancy.models import ApiKey
from tenancy.people import keys
from tenancy.people.members import add_member, remove_member
from tenancy.testing import TenantClient

NAMES = ["key", "open/key", "own-ninja", "both"]


@pytest.fixture(autouse=True)
def _apis(settings):
    settings.ROOT_URLCONF = settings.PUBLIC_SCHEMA_URLCONF = "engine.apis.urls"


@pytest.fixture
def headers(tenant, ada):
    add_member(tenant, "ada", "admin", by="test")
    Note.objects.create(text="secret", author=ada)
    return {"authorization": f"Bearer {keys.make(tenant, ada, 'CI', 'member', 30)[1]}"}


@pytest.mark.parametrize("name", NAMES)
def test_a_program_reads_and_writes_by_a_key(tenant, other_tenant, public, headers, name, caplog):
    client = TenantClient(tenant)
    url = f"/api/{name}/"
    assert "secret" in client.get(url, headers=headers).text
    assert client.post(url, {}, headers=headers).status_code // 100 == 2
    assert Note.objects.count() == 2
    add_member(other_tenant, "ada", "admin", by="test")
    for elsewhere in (other_tenant, public):
        assert TenantClient(elsewhere).get(url, headers=headers).status_code == 401

    remove_member(tenant, "ada", by="test")
    for answer in (client.get(url, headers=headers), client.post(url, {}, headers=headers)):
        assert answer.status_code == 401
        assert "secret" not in answer.text
    assert Note.objects.count() == 2
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("name", NAMES)
def test_the_key_with_its_member_costs_one_query(tenant, headers, name, django_assert_num_queries):
    client = TenantClient(tenant)
    client.get(f"/api/{name}/", headers=headers)
    with django_assert_num_queries(3):  # the host, in a test; the key; the notes
        client.get(f"/api/{name}/", headers=headers)
    assert ApiKey.objects.get().used


def test_another_token_is_left_to_the_next_library(tenant, headers, ada):
    jwt = {"authorization": f"Bearer {RefreshToken.for_user(ada).access_token}"}
    client = TenantClient(tenant)
    assert client.get("/api/both/", headers=jwt).status_code == 200
    answer = client.get("/api/key/")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert connection.tenant == tenant
