"""EMAIL_URL: e-mails go to a provider's API, here a stand-in for Postmark's."""

import json
import runpy
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from anymail.exceptions import AnymailRequestsAPIError
from django.core.mail import EmailMessage
from tenancy import email_provider
from tenancy.exceptions import MissingRequirement
from tenancy.outbox import deliver

SENT = {"ErrorCode": 0, "Message": "OK", "MessageID": "1", "To": "bob@example.com"}


class Postmark(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["X-Postmark-Server-Token"], body))
        answer = json.dumps(self.server.answer).encode()
        self.send_response(200 if self.server.answer == SENT else 422)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


@pytest.fixture
def postmark():
    with HTTPServer(("127.0.0.1", 0), Postmark) as server:
        server.asked, server.answer = [], SENT
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def production(monkeypatch, settings, postmark):
    """The settings of production with EMAIL_URL, as far as they concern e-mail."""
    url = f"postmark://?server_token=s%2Bcret&api_url=http://127.0.0.1:{postmark.server_port}/"
    for name, value in {
        "DEBUG": "off",
        "DATABASE_URL": "postgis://user@host/name",
        "CELERY_BROKER_URL": "redis://localhost",
        "EMAIL_URL": url,
    }.items():
        monkeypatch.setenv(name, value)
    found = runpy.run_path(str(Path(settings.BASE_DIR, "server/settings.py")))
    for name in ("TENANCY_EMAIL_BACKEND", "ANYMAIL"):
        setattr(settings, name, found[name])
    return found


def test_an_email_goes_to_the_provider(production, postmark):
    assert "EMAIL_HOST" not in production

    deliver(EmailMessage("Hello", "Milk?", "ada@example.com", ["bob@example.com"]))

    [(path, token, body)] = postmark.asked
    assert (path, token) == ("/email", "s+cret")
    assert (body["Subject"], body["TextBody"]) == ("Hello", "Milk?")
    assert (body["From"], body["To"]) == ("ada@example.com", "bob@example.com")


def test_a_provider_that_refuses_is_an_error_of_the_sender(production, postmark):
    postmark.answer = {"ErrorCode": 10, "Message": "Bad token"}

    with pytest.raises(AnymailRequestsAPIError, match="Bad token"):
        deliver(EmailMessage("Hello", "Milk?", "ada@example.com", ["bob@example.com"]))


def test_a_silent_provider_has_an_end(production, settings):
    assert production["ANYMAIL"]["REQUESTS_TIMEOUT"] == settings.EMAIL_TIMEOUT


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("smtp.example.com:587", "write it like postmark://?server_token=…"),
        ("postmark:server_token=hunter2", "write it like postmark://?server_token=…"),
        ("pigeon://?api_key=hunter2", "django-anymail knows no provider “pigeon”"),
    ],
)
def test_a_garbled_url_is_one_line_without_its_secret(url, said):
    with pytest.raises(MissingRequirement, match=said.replace("?", r"\?")) as caught:
        email_provider.read(url)

    assert "hunter2" not in str(caught.value)


def test_without_anymail_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(email_provider, "find_spec", lambda name: None)

    with pytest.raises(MissingRequirement, match="uv sync --group email"):
        email_provider.read("postmark://?server_token=x")
