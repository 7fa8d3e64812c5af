"""The project under ASGI, which the owner sets up: no connection outlives its request."""

import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest
from django.conf import settings
from django.db import connection

from engine.workers import Process

CLIENTS = 8
ASGI = """
from django.core.asgi import get_asgi_application
application = get_asgi_application()
"""
SETTINGS = """
from engine.settings import *
DATABASES["default"]["NAME"] = {name!r}
"""
COUNT = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'under asgi'"


@pytest.fixture
def port(committed_db, tmp_path):
    (tmp_path / "own_asgi.py").write_text(ASGI)
    text = SETTINGS.format(name=connection.settings_dict["NAME"])
    (tmp_path / "asgi_settings.py").write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Process(
        *(sys.executable, "-m", "uvicorn", "own_asgi:application", "--port", str(port)),
        DJANGO_SETTINGS_MODULE="asgi_settings",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(settings.BASE_DIR)]),
        PGAPPNAME="under asgi",
    )
    server.said("Uvicorn running")
    yield port
    server.kill()


def count() -> int:
    with connection.cursor() as cursor:
        cursor.execute(COUNT)
        return cursor.fetchone()[0]


def test_no_more_connections_than_requests_at_once(port):
    """R17: CONN_MAX_AGE would keep one for each request."""

    def ask(number):
        client = HTTPConnection("127.0.0.1", port)
        client.request(
            "GET", "/sign-in/" if number % 2 else "/", headers={"Host": HOSTS[number % 2]}
        )
        status = client.getresponse().status
        return status, count_from_elsewhere() if number % 10 == 0 else 0

    def count_from_elsewhere():
        try:
            return count()
        finally:
            connection.close()

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = [*clients.map(ask, range(80))]

    assert {status for status, _ in answers} <= {200, 302}
    assert max(number for _, number in answers) <= CLIENTS
    assert count() <= 1


@pytest.mark.parametrize(
    ("kind", "body", "status", "says"),
    [
        ("", b"a" * 2_621_441, 413, "This is too large"),
        ("; charset=hex", b"a=b", 400, "We can't answer this request"),
    ],
)
def test_what_a_middleware_cannot_read_is_refused_as_under_wsgi(port, kind, body, status, says):
    """Django's middleware against forged requests reads the form."""
    headers = {
        "Host": HOSTS[1],
        "Cookie": f"{settings.CSRF_COOKIE_NAME}={'a' * 32}",
        "Content-Type": f"application/x-www-form-urlencoded{kind}",
    }
    client = HTTPConnection("127.0.0.1", port)
    client.request("POST", "/account/login/", body, headers)
    answer = client.getresponse()

    assert (answer.status, says in answer.read().decode()) == (status, True)


HOSTS = "first.localhost", "localhost"
