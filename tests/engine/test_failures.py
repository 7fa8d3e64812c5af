"""A damaged request is refused, and a server that is away is said to be: no fault of the site."""

import io
import sys
from contextlib import contextmanager
from urllib.parse import unquote_to_bytes

import django
import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, transaction
from django.db.transaction import atomic
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from kombu.exceptions import OperationalError as KombuError
from server import urls
from server.notes.models import Note
from tenancy.models import Limit

from engine.site import serving
from engine.test_time_limits import redis_cache
from engine.workers import closed_database, throw_others_out

FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=x"
TOKEN = "a" * 32


def part(text: bytes, headers: bytes = b"", name: bytes = b"a") -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n' % (name, headers)
    return head + text + b"\r\n--x--\r\n"


BASE64 = b"\r\nContent-Transfer-Encoding: base64"

# Anonymous requests: a path, then a body and its type, or headers.
DAMAGED = {
    "a charset of two bytes": ("/sign-in/", b"a=b", f"{FORM}; charset=utf-16"),
    "a charset of seven bits": ("/sign-in/", b"a=b", f"{FORM}; charset=utf-7"),
    "an unknown charset": ("/sign-in/", b"a=b", f"{FORM}; charset=klingon"),
    "a codec that is no charset": ("/sign-in/", b"a=b", f"{FORM}; charset=hex"),
    "a charset with NUL": ("/sign-in/", b"a=b", f"{FORM}; charset=a\0b"),
    "a charset beyond ASCII": ("/sign-in/", b"a=b", f"{FORM}; charset=\xff"),
    "an encoded charset with NUL": ("/sign-in/", b"a=b", f"{FORM}; charset*=utf-8''a%00b"),
    "an unknown encoding of a charset": ("/sign-in/", b"a=b", f"{FORM}; charset*=klingon''%ff"),
    "a type of 100,000 letters": ("/sign-in/", b"a=b", f"{FORM}; a=" + "b;" * 50_000),
    "a charset of host names": ("/sign-in/", b"a=b", f"{FORM}; charset=idna"),
    "a codec for the query": ("/admin/login/?next=%ff", {"CONTENT_TYPE": "x; charset=hex"}),
    "an encoded charset": ("/sign-in/", b"a=b", f"{FORM}; charset*=utf-16''utf-16"),
    "parts of two bytes": ("/sign-in/", part(b"b"), f"{PARTS}; charset=utf-16"),
    "parts in a codec": ("/sign-in/", part(b"b"), f"{PARTS}; charset=hex"),
    "no boundary": ("/sign-in/", part(b"b"), "multipart/form-data"),
    "a boundary beyond ASCII": ("/sign-in/", part(b"b"), "multipart/form-data; boundary=\xff"),
    "a cut part": ("/sign-in/", part(b"b")[:20], PARTS),
    "a part with a name in bytes": ("/sign-in/", part(b"b", name=b"\xff"), PARTS),
    "a part with a bad encoded name": (
        "/sign-in/",
        part(b"b", b"; filename*=klingon''%ff"),
        PARTS,
    ),
    "a part in bad base64": ("/sign-in/", part(b"=a=", BASE64), PARTS),
    "a file in bad base64": ("/sign-in/", part(b"a=b", b'; filename="f"' + BASE64), PARTS),
    "a file named by NUL": ("/sign-in/", part(b"b", b'; filename="\0"'), PARTS),
    "too many fields": ("/sign-in/", b"a=b&" * 1001, FORM),
    "too many files": ("/sign-in/", part(b"b", b'; filename="f"')[:-5] * 101, PARTS),
    "bad escapes": ("/sign-in/", b"a=%zz%ff%", FORM),
    "NUL in a user name": ("/sign-in/", b"username=a%00b&password=x", FORM),
    "NUL in an e-mail": ("/sign-in/", b"email=a%00b@x.org", FORM),
    "NUL in a path": ("/%00/", {}),
    "bytes in a path": ("/%ff%fe/\xe9", {}),
    "a surrogate in a path": ("/%ed%a0%80/", {}),
    "NUL in the place of an upload": ("/media/a%00b", {}),
    "NUL in a query": ("/admin/login/?next=%00", {}),
    "NUL in a session": ("/notes/", {"HTTP_COOKIE": "{session}=a\0b"}),
    "NUL in a quoted session": ("/notes/", {"HTTP_COOKIE": '{session}="a\\000b"'}),
    "bytes in a session": ("/notes/", {"HTTP_COOKIE": "{session}=\xff\xfe"}),
    "a surrogate in a session": ("/notes/", {"HTTP_COOKIE": "{session}=\xed\xa0\x80"}),
    "a session of 5000 letters": ("/notes/", {"HTTP_COOKIE": "{session}=" + "a" * 5000}),
    "NUL in a token": ("/sign-in/", {"HTTP_COOKIE": "{csrf}=a\0b"}),
    "NUL in a long session": ("/notes/", {"HTTP_COOKIE": '{session}="' + "a\\000" * 16 + '"'}),
    "NUL in a text that is looked up": ("/find/?text=%00", {}),
    "a cookie that is none": ("/sign-in/", {"HTTP_COOKIE": "=;=\0;;\xff"}),
    "bytes in a referrer": ("/sign-in/", {"HTTP_REFERER": "\xff"}),
    "a bad origin": ("/sign-in/", {"HTTP_ORIGIN": "http://[", "REQUEST_METHOD": "POST"}),
    "a bad language": ("/sign-in/", {"HTTP_ACCEPT_LANGUAGE": "\xff;q=\xe9"}),
    "a bad accept": ("/%00/", {"HTTP_ACCEPT": "/;q=x,\xff"}),
    "a bad date": ("/robots.txt", {"HTTP_IF_MODIFIED_SINCE": "Mon, 99 Foo 99999 99:99:99 GMT"}),
    "a bad length": ("/sign-in/", {"CONTENT_LENGTH": "many", "REQUEST_METHOD": "POST"}),
    "a negative length": ("/sign-in/", {"CONTENT_LENGTH": "-1", "REQUEST_METHOD": "POST"}),
    "a method that is none": ("/sign-in/", {"REQUEST_METHOD": "\xff"}),
    "a forwarded address that is none": ("/sign-in/", {"HTTP_X_FORWARDED_FOR": "\xff\0"}),
}
REFUSED = {
    *("a charset of two bytes", "a charset of seven bits", "a codec that is no charset"),
    *("a charset with NUL", "an encoded charset with NUL", "an unknown encoding of a charset"),
    *("a charset of host names", "a codec for the query", "parts in a codec", "no boundary"),
    *("a boundary beyond ASCII", "a file in bad base64", "too many fields", "too many files"),
    *("NUL in a long session", "NUL in a text that is looked up"),
    *(["a type of 100,000 letters"] if django.VERSION >= (6, 1) else []),
}


def environ(path: str, *parts) -> dict[str, str]:
    """Return what a server passes on, in which each letter is a byte."""
    place, _, query = path.partition("?")
    session, csrf = settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME
    made = {
        "SERVER_NAME": "first.localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": "GET",
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "PATH_INFO": unquote_to_bytes(place).decode("latin-1"),
        "QUERY_STRING": query,
        "wsgi.input": io.BytesIO(),
        "HTTP_COOKIE": f"{csrf}={TOKEN}",
    }
    if isinstance(parts[0], bytes):
        body, kind = parts
        if kind == FORM:
            body += f"&csrfmiddlewaretoken={TOKEN}".encode()
        made |= {"REQUEST_METHOD": "POST", "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body))}
        return made | {"wsgi.input": io.BytesIO(body)}
    return made | {
        key: value.replace("{session}", session).replace("{csrf}", csrf)
        for key, value in parts[0].items()
    }


@pytest.fixture
def ask(committed_db):
    """Ask as a server does; returns the status and the text."""
    handler = WSGIHandler()

    def ask(environ):
        statuses = []
        response = handler(environ, lambda status, headers: statuses.append(status))
        text = b"".join(response).decode(errors="replace")
        response.close()
        return int(statuses[0][:3]), text

    yield ask
    Limit.objects.all().delete()


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_request_is_no_error_of_the_site(ask, settings, case, debug):
    """R14: refused or answered, and never with status 500."""
    settings.DEBUG = debug
    settings.ROOT_URLCONF = __name__
    status, text = ask(environ(*DAMAGED[case]))

    assert status in ({400} if case in REFUSED else {200, 302, 403, 404, 405}), text
    if status == 400 and not debug:
        assert "We can't answer this request" in text
        assert "site.css" in text


def read(request):
    return HttpResponse(len(request.body))


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("path", "kind"),
    [("/sign-in/", FORM), ("/read/", "application/json")],  # a middleware reads, a view reads
)
def test_too_large_a_request_is_said_to_be(ask, settings, path, kind, debug):
    settings.DEBUG = debug
    settings.ROOT_URLCONF = __name__
    request = environ(path, b"a" * 2_621_441, kind)
    status, text = ask(request)

    assert status == 413
    assert "This is too large" in text
    assert "site.css" in text
    assert not request["wsgi.input"].read()  # else the server might reset the connection


# A server is away


def find(request):
    return HttpResponse(Note.objects.filter(text=request.GET["text"]).count())


def end_connection(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def write_to_a_replica(request):
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        Note.objects.create(text="x")


def no_room(request):
    with connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE disk_full; END $$")


def no_redis(request):
    caches["default"].get("key")


def no_broker(request):
    raise KombuError("No broker")


def own_mistake(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")


AWAY = [end_connection, atomic(end_connection), write_to_a_replica, no_room, no_redis, no_broker]
urlpatterns = [
    path("find/", find),
    path("read/", csrf_exempt(read)),
    path("own_mistake/", own_mistake),
    *(path(f"{number}/", view) for number, view in enumerate(AWAY)),
    path("", include(urls)),
]


@pytest.fixture
def visitor(committed_db, settings):
    settings.ROOT_URLCONF = __name__
    settings.CACHES = redis_cache(1)
    yield Client(SERVER_NAME="first.localhost", raise_request_exception=False)
    connection.close()


@pytest.mark.parametrize("number", range(len(AWAY)))
def test_what_is_away_is_no_error_of_the_site(visitor, caplog, number):
    """R15: also within a request, and it is well again by itself."""
    page = visitor.get(f"/{number}/")

    assert page.status_code == 503
    assert page["Retry-After"] == "10"
    assert "We'll be back soon" in page.text
    assert "First Tenant" in page.text
    assert "site.css" in page.text
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert visitor.get("/").status_code == 200


@pytest.mark.parametrize(
    ("accept", "kind", "text"),
    [
        ("application/json", "application/json", '{"detail": "Please try again soon."}'),
        ("text/plain", "text/plain", "Please try again soon.\n"),
        ("*/*", "text/html", None),
        ("text/html,application/json;q=0.9", "text/html", None),
    ],
)
def test_a_client_gets_what_it_reads(visitor, accept, kind, text):
    page = visitor.get("/0/", headers={"accept": accept})

    assert page.status_code == 503
    assert page["Content-Type"].partition(";")[0] == kind
    assert text in (None, page.text)


def test_a_mistake_of_the_site_stays_one(visitor):
    page = visitor.get("/own_mistake/")

    assert page.status_code == 500
    assert "Something went wrong on our side" in page.text
    assert "site.css" in page.text


def test_sessions_are_read_without_the_cache_while_it_is_away(visitor, settings):
    """R15: Django's `cached_db` sees to this."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
    visitor.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32

    assert visitor.get("/notes/").url == "/sign-in/?next=/notes/"


def test_a_broken_page_is_said_in_a_line(visitor, monkeypatch):
    def fail(*args):
        raise ValueError

    monkeypatch.setattr("tenancy.requests.failures.render_to_string", fail)
    assert "<h1>Service Unavailable</h1>" in visitor.get("/0/").text


@contextmanager
def no_connection_left():
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 1")  # this process has it
        try:
            throw_others_out()
            yield
        finally:
            cursor.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")


@pytest.mark.parametrize("cause", [closed_database, no_connection_left])
def test_without_a_database_every_page_says_so_and_comes_back(
    committed_db, tmp_path, free_port, cause
):
    """R15: a running server, whose database goes and returns."""
    connection.ensure_connection()  # for what opens and closes the database
    pages = {"localhost": ["/", "/admin/"], "first.localhost": ["/", "/notes/", "/admin/"]}
    with serving(tmp_path, free_port) as site:
        before = {
            host: [site.get(page, host=host).status for page in pages[host]] for host in pages
        }
        with cause():
            for host in pages:
                for page in pages[host]:
                    answer = site.get(page, host=host)
                    assert (answer.status, answer.getheader("Retry-After")) == (503, "10")
                    assert "We'll be back soon" in answer.text
        site.said("No connection to the database: ")
        assert before == {
            host: [site.get(page, host=host).status for page in pages[host]] for host in pages
        }
