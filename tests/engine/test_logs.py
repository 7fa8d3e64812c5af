"""The log says what each line is about: as lines, and as JSON."""

import io
import json
import logging.config
import subprocess
import sys

import pytest
from celery.app.trace import build_tracer
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.test import Client
from django.urls import path
from server.celery import app
from server.tenants.models import Tenant
from tenancy.background.messages import HEADER, REQUEST, with_tenant
from tenancy.isolation import logs
from tenancy.outbox import Outbox

from engine import tasks


@pytest.fixture
def log_as():
    """Let the project's logging write in a format; returns the stream in place of stderr."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level

    def log_as(name):
        own = {"stream": stream, "formatter": name}
        handlers = settings.LOGGING["handlers"]
        own = handlers | {"stderr": handlers["stderr"] | own}
        logging.config.dictConfig(settings.LOGGING | {"handlers": own})
        return stream

    yield log_as
    root.handlers, root.level = handlers, level


@pytest.fixture
def log(log_as):
    return log_as("line")


@pytest.fixture
def read(log_as):
    """Return what was logged as JSON."""
    stream = log_as("json")
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_which_tenant_it_is_about(tenant, other_tenant, log):
    logging.getLogger("server.notes").info("one")
    with other_tenant:
        logging.getLogger("django.request").warning("two")

    one, two = log.getvalue().splitlines()
    assert one.endswith(f" INFO {tenant.schema_name} server.notes: one")
    assert two.endswith(f" WARNING {other_tenant.schema_name} django.request: two")


def test_a_line_before_django_is_set_up_is_no_error():
    code = """
import logging
from tenancy.isolation.logs import TenantFilter
record = logging.makeLogRecord({})
assert TenantFilter().filter(record)
print(record.tenant)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (result.stdout, result.stderr) == ("-\n", "")


def write(request):
    assert request.user.is_authenticated
    logging.getLogger("server.notes").warning("one\n“two” %s", "\u2028", extra={"pages": 3})
    try:
        int("three\nfour")
    except ValueError:
        logging.getLogger("server.notes").exception("five")
    return HttpResponse()


def headers(request):
    """What a message of this request has."""
    return JsonResponse(with_tenant(app, tasks.log.name, {})["headers"])


urlpatterns = [path("write/", write), path("headers/", headers)]


@pytest.fixture
def own_views(settings):
    settings.ROOT_URLCONF = __name__


@pytest.mark.usefixtures("own_views")
def test_json_is_a_line_with_tenant_request_and_person(tenant, tenant_client, read):
    page = tenant_client.get("/write/?secret=1")

    one, two = read()
    about = {"tenant": tenant.schema_name, "logger": "server.notes"}
    about |= {"request_id": page["X-Request-ID"], "user": str(tenant.owner.pk)}
    assert one.pop("time").endswith("+00:00")
    assert one == about | {"level": "WARNING", "message": "one\n“two” \u2028", "pages": 3}
    assert two["exception"].endswith("'three\\nfour'")
    assert "secret" not in str([one, two])


def test_a_line_without_a_request_has_no_request_and_nobody(db, read):
    logging.getLogger("server.notes").warning("x")

    assert read()[0].keys() == {"time", "level", "logger", "message", "tenant"}


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("proxies", "given", "is_kept"),
    [
        (1, "0123456789abcdef-x", True),
        (0, "0123456789abcdef-x", False),
        (1, "x", False),
        (1, "x" * 65, False),
        (1, "0123456789\u2028", False),
        (1, 'x", "tenant": "y', False),
    ],
)
def test_the_id_of_a_request_is_a_trusted_proxys_or_our_own(settings, proxies, given, is_kept):
    settings.TRUSTED_PROXIES = proxies

    page = Client(HTTP_X_REQUEST_ID=given).get("/")

    assert (page["X-Request-ID"] == given) == is_kept
    assert len(page["X-Request-ID"]) >= 16


@pytest.mark.usefixtures("own_views")
def test_a_message_names_the_request_that_it_comes_from(tenant_client):
    page = tenant_client.get("/headers/")

    assert page.json()["_request_id"] == page["X-Request-ID"]


def test_a_task_logs_under_the_id_of_its_request_or_its_own(committed_db, read):
    tenant = Tenant.objects.get(slug="first")
    run = build_tracer(tasks.log.name, tasks.log, app=app)
    for number, more in enumerate(({REQUEST: "the request"}, {})):
        task = f"task {number}"
        headers = {HEADER: tenant.schema_name} | more
        run(task, ["from a task"], {}, {"id": task, "headers": headers})
    connection.close()

    lines = [line for line in read() if line["message"] == "from a task"]
    assert [line["request_id"] for line in lines] == ["the request", "task 1"]
    assert {line["tenant"] for line in lines} == {tenant.schema_name}
    assert logs.request_id.get() == ""


def test_an_email_names_the_request_that_it_comes_from(settings, mailoutbox):
    settings.TENANCY_EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    logs.request_id.set("the request")
    outbox = Outbox()
    outbox.post(EmailMessage("A letter", to=["ada@example.com"]))
    logs.request_id.set("another")
    if thread := outbox.thread:
        thread.join()

    assert mailoutbox[0].message()["X-Request-ID"] == "the request"
