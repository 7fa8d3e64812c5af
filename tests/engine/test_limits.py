"""Limits hold for all processes together, say how long to wait, and lock nobody out."""

import logging

import pytest
from allauth.usersessions.models import UserSession
from django.core.cache import caches
from django.db import transaction
from django.http import HttpRequest
from django.test import Client
from tenancy import limits
from tenancy.exceptions import RateLimited
from tenancy.limits import limit
from tenancy.models import Limit
from tenancy.requests.address import client_address

from engine.processes import Fork
from engine.workers import Process, need_redis

ASK = """
from tenancy.exceptions import RateLimited
from tenancy.limits import limit
print("ready", flush=True)
input()
through = 0
for _ in range(30):
    try:
        limit("test", "key", "40/1h")
        through += 1
    except RateLimited as error:
        assert 3500 < error.wait <= 3600
print(through)
"""


@pytest.fixture
def redis_cache(tmp_path, settings, free_port):
    need_redis()
    server = Process("redis-server", "--port", str(free_port), "--save", "", "--dir", str(tmp_path))
    server.said("Ready to accept connections")
    url = f"redis://127.0.0.1:{free_port}"
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": url}}
    yield url
    caches.close_all()
    server.kill()


@pytest.fixture
def emptied(committed_db):
    yield
    Limit.objects.all().delete()


def tell(process, line):
    print(line, file=process.stdin, flush=True)


def at_once():
    processes = [Fork(ASK) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        tell(process, "")
    return sum(int(process.communicate()[0]) for process in processes)


@pytest.mark.usefixtures("emptied")
def test_exactly_as_many_get_through_as_the_rate_says():
    """R3: four processes try thirty times each."""
    assert at_once() == 40


@pytest.mark.usefixtures("redis_cache", "emptied")
def test_in_redis_exactly_as_many_get_through():
    """R3: the same, where CACHE_URL names a Redis."""
    assert at_once() == 40
    assert not Limit.objects.exists()


@pytest.mark.usefixtures("emptied")
def test_a_rollback_does_not_undo_a_count():
    """R3: as in a request whose transaction is rolled back."""
    for _ in range(2):
        with transaction.atomic():
            limit("test", "key", "2/1h")
            transaction.set_rollback(True)
    with pytest.raises(RateLimited), transaction.atomic():
        limit("test", "key", "2/1h")


def test_a_limit_is_the_same_in_every_tenant(outside):
    limit("test", "key", "1/1h")
    with outside, pytest.raises(RateLimited):
        limit("test", "key", "1/1h")


def test_names_and_keys_have_limits_of_their_own(db):
    limit("test", "key", "1/1h")
    limit("test", "other", "1/1h")
    limit("other", "key", "1/1h")


def expire():
    Limit.objects.update(expires="2000-01-01T00:00Z")


def test_the_time_ends_and_old_rows_go(db):
    for number in range(6):
        limit("test", f"key {number}", "1/10s")
    expire()
    limit("test", "key 0", "1/10s")
    with pytest.raises(RateLimited) as error:
        limit("test", "key 0", "1/10s")
    assert 0 < error.value.wait <= 10
    for number in range(6, 9):
        limit("test", f"key {number}", "1/10s")
    assert Limit.objects.count() == 4


@pytest.mark.parametrize("where", ["table", "redis"])
def test_a_use_is_given_back(db, where, request):
    if where == "redis":
        request.getfixturevalue("redis_cache")
    for _ in range(3):
        limit("test", "key", "1/1h")
        limits.give_back(("test", "key"), ("test", "never used"))
    limits.give_back(("test", "key"))
    limit("test", "key", "1/1h")
    with pytest.raises(RateLimited):
        limit("test", "key", "1/1h")
    assert not limits.remembers("known", "key")
    limits.remember("known", "key", 60)
    assert limits.remembers("known", "key")


def test_a_refusal_is_logged_without_the_key(db, caplog):
    caplog.set_level(logging.WARNING)
    limit("test", "ada@example.com", "1/1h")
    with pytest.raises(RateLimited):
        limit("test", "ada@example.com", "1/1h")

    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "Limit “test” reached" in record.message
    assert "1/1h" in record.message
    assert "ada" not in record.message


def test_the_owner_sets_another_rate_or_none(db, settings):
    settings.TENANCY_RATES = {"test": "2/1h", "free": None}
    for _ in range(2):
        limit("test", "key", "1/1h")
        limit("free", "key", "1/1h")
    with pytest.raises(RateLimited):
        limit("test", "key", "1/1h")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "10.9.9.9, 203.0.113.9", "203.0.113.9"),
        (2, "10.9.9.9, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (3, "203.0.113.9", "203.0.113.9"),
        (1, "", "192.0.2.1"),
        (1, " , ", "192.0.2.1"),
        (1, "203.0.113.9:4711", "203.0.113.9"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "[2001:db8:1:2::1]:4711", "2001:db8:1:2::/64"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "fe80::1%eth0", "fe80::/64"),
        (1, "unknown", None),
        (1, "'; DROP TABLE\0", None),
    ],
)
def test_the_clients_address(settings, proxies, forwarded, address):
    """R3: only as many entries of X-Forwarded-For are believed as there are proxies."""
    settings.TRUSTED_PROXIES = proxies
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": forwarded}

    assert client_address(request) == address


def test_without_a_header_or_an_address(settings):
    settings.TRUSTED_PROXIES = 2
    request = HttpRequest()
    assert client_address(request) is None
    request.META = {"REMOTE_ADDR": "192.0.2.1"}
    assert client_address(request) == "192.0.2.1"


# Passwords


def sign_in(password, username="admin", address="192.0.2.1"):
    client = Client(SERVER_NAME="localhost", REMOTE_ADDR=address)
    return client.post("/account/login/", {"login": username, "password": password})


def test_after_some_wrong_passwords_even_the_right_one_waits(db):
    """R3: forty wrong passwords and then the right one."""
    assert [sign_in("wrong").status_code for _ in range(11)] == [200] * 10 + [429]
    page = sign_in("password")

    assert page.status_code == 429
    assert 0 < int(page["Retry-After"]) <= 900
    assert "Try again in 15 minutes." in page.text
    assert "site.css" in page.text
    assert sign_in("password", address="192.0.2.2").status_code == 302
    expire()
    assert sign_in("password").status_code == 302


def test_right_passwords_are_not_counted(db):
    for _ in range(9):
        sign_in("wrong")
    for _ in range(12):
        assert sign_in("password").status_code == 302


def test_both_names_of_a_person_have_one_limit(db):
    names = ["admin", "ADMIN", "admin@localhost", "Admin@Localhost"]
    for number in range(10):
        sign_in("wrong", names[number % 4])

    assert sign_in("password").status_code == 429


def test_an_address_that_tries_many_people_waits(db):
    answers = [sign_in("wrong", f"nobody{number}").status_code for number in range(101)]

    assert answers == [200] * 100 + [429]
    assert sign_in("password").status_code == 429


def test_an_ipv6_subscriber_has_one_address(db):
    for number in range(10):
        sign_in("wrong", address=f"2001:db8::{number}")

    assert sign_in("password", address="2001:db8::99").status_code == 429
    assert sign_in("password", address="2001:db8:0:1::1").status_code == 302
    assert UserSession.objects.get().ip == "2001:db8:0:1::1"


def test_many_addresses_cannot_guess_together_nor_lock_a_person_out(db):
    """R3: the person gets in where they have been before."""
    assert sign_in("password", address="198.51.100.7").status_code == 302
    answers = [
        sign_in("wrong", address=f"192.0.2.{number}").status_code for number in range(1, 102)
    ]

    assert answers == [200] * 100 + [429]
    assert sign_in("password", address="203.0.113.1").status_code == 429
    assert sign_in("password", address="198.51.100.7").status_code == 302


# E-mails


@pytest.fixture(params=["login/code", "password/reset"])
def ask_for_code(request, db):
    def ask_for_code(email="admin@localhost", address="192.0.2.1"):
        client = Client(SERVER_NAME="localhost", REMOTE_ADDR=address)
        return client.post(f"/account/{request.param}/", {"email": email}).status_code

    return ask_for_code


def test_codes_are_limited(ask_for_code, mailoutbox):
    """R3: password resets without end. The known and the unknown are answered alike."""
    for number, email in enumerate(["admin@localhost", "nobody@localhost"], 1):
        assert [ask_for_code(email) for _ in range(6)] == [302] * 5 + [429]
        assert ask_for_code(email.capitalize()) == 429
        assert len(mailoutbox) == 5 * number


def test_many_addresses_cannot_fill_a_mailbox(ask_for_code):
    answers = [ask_for_code(address=f"192.0.2.{number}") for number in range(21)]

    assert answers == [302] * 20 + [429]


def test_an_address_asks_for_some_codes_only(ask_for_code):
    answers = [ask_for_code(f"x{number}@localhost") for number in range(61)]

    assert answers == [302] * 60 + [429]


def test_invitations_are_limited(tenant_client):
    """R3: twenty-five invitations in a loop."""
    url = "/admin/tenancy/member/add/"
    answers = [
        tenant_client.post(url, {"email": f"x{number}@example.com", "role": "member"})
        for number in range(25)
    ]

    assert [answer.status_code for answer in answers] == [302] * 20 + [429] * 5
    assert int(answers[-1]["Retry-After"]) > 0


def test_one_mailbox_gets_some_invitations_only(tenant, other_tenant, tenant_client, other_client):
    data = {"email": "x@example.com", "role": "member"}
    answers = [
        client.post("/admin/tenancy/member/add/", data).status_code
        for client in [tenant_client, other_client] * 3
    ]

    assert answers == [302] * 5 + [429]
