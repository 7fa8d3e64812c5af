"""Errors reach a server that speaks Sentry's protocol, with the tenant and without secrets."""

import gzip
import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from engine.site import serving

SETTINGS = """
ROOT_URLCONF = "failing"
from tenancy.health import sentry
sentry.start("http://key@127.0.0.1:{port}/1", release="1.2.3", environment="test")
"""
FAILING = """
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
@csrf_exempt
def fail(request):
    value = "a local secret"
    raise ZeroDivisionError(f"on purpose: {request.GET['code']}")
urlpatterns = [path("fail/", fail)]
"""


@pytest.fixture
def sentry():
    """A stand-in that keeps the events it gets."""
    events = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            lines = body.decode().splitlines()
            for header, item in zip(lines[1::2], lines[2::2], strict=False):
                if json.loads(header)["type"] == "event":
                    events.put(json.loads(item))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.events = events
        yield server
        server.shutdown()


def test_an_error_is_reported_with_tenant_and_release(committed_db, sentry, tmp_path, free_port):
    (tmp_path / "failing.py").write_text(FAILING)
    settings = SETTINGS.format(port=sentry.server_port)
    with serving(tmp_path, free_port, settings) as site:
        page = site.ask(
            *("POST", "/fail/?code=a+secret", "form=a+secret"),
            Content_Type="application/x-www-form-urlencoded",
            Cookie="session=a-secret",
            Referer="http://first.localhost/?code=a+secret",
        )
        event = sentry.events.get(timeout=30)

    assert page.status == 500
    assert event["exception"]["values"][-1]["type"] == "ZeroDivisionError"
    assert event["tags"]["tenant"].startswith("first_")
    assert event["tags"]["request_id"] == page.getheader("X-Request-ID")
    assert (event["release"], event["environment"]) == ("1.2.3", "test")
    assert event["request"]["method"] == "POST"
    assert event["request"]["url"].endswith("/fail/")
    del event["exception"]["values"][-1]["stacktrace"]  # it quotes the code
    assert "secret" not in json.dumps(event)
