"""The log says which host was asked for, and why it wasn't answered."""

import logging

import pytest
from django.conf import settings
from django.http import HttpRequest
from django.test import Client
from tenancy.isolation.logs import TenantFilter
from tenancy.lifecycle import delete, suspend


@pytest.fixture
def lines(caplog):
    """What the project's formatter makes of the lines that were logged, without the time."""
    caplog.handler.addFilter(TenantFilter())
    line = settings.LOGGING["formatters"]["line"] | {"format": "{levelname} {tenant}: {message}"}
    formatter = logging.Formatter(line["format"], style=line["style"])
    return lambda: [formatter.format(record) for record in caplog.records]


def get(host: str, path="/"):
    return Client(SERVER_NAME=host).get(path)


@pytest.mark.parametrize(
    ("host", "shown", "reason"),
    [
        ("nobody.localhost:8000", "nobody.localhost:8000", "Unknown host"),
        ("evil.example.com", "evil.example.com", "Unknown host"),
        ("first.localhost\n\u202e", r"first.localhost\n\u202e", "Disallowed host"),
        ("x" * 300, "x" * 255, "Disallowed host"),
    ],
)
def test_a_host_that_leads_nowhere_is_logged_with_the_reason(db, lines, host, shown, reason):
    response = Client(headers={"host": host}).get("/page/")

    assert response.status_code == 404
    assert lines() == [f"WARNING public {shown}: {reason}: /page/"]


def test_a_host_that_this_process_does_not_serve(outside, lines, settings):
    settings.SERVE_TENANTS = False
    get("first.localhost")

    assert lines() == ["WARNING public first.localhost: Host of another process: /"]


def test_a_missing_page_is_logged_with_the_host_and_the_tenant(outside, lines):
    get("first.localhost", "/missing/")

    assert lines() == [f"WARNING {outside.schema_name} first.localhost: Not Found: /missing/"]


@pytest.mark.parametrize(
    ("end", "reason"), [(suspend, "Suspended tenant"), (delete, "Deleted tenant")]
)
def test_a_tenant_that_does_not_answer_is_no_error_of_the_site(outside, lines, end, reason):
    end(outside, by="test")
    get("first.localhost")

    assert lines() == [f"WARNING public first.localhost: {reason}: /"]


@pytest.mark.parametrize("request_", [HttpRequest(), object()], ids=["made by hand", "a socket"])
def test_a_request_without_a_host_is_logged_too(db, lines, request_):
    logging.getLogger("django.request").warning("x", extra={"request": request_})

    assert lines() == ["WARNING public: x"]
