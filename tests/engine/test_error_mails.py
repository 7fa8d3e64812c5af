"""Errors are mailed to ADMINS: each at most once a minute, with nothing of what a visitor sent."""

import logging
import threading

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from tenancy.health import error_mails
from tenancy.isolation.logs import TenantFilter
from tenancy.models import Limit

logger = logging.getLogger("server")


def fail(request):
    raise ZeroDivisionError(request.GET.get("number"))


def fail_elsewhere(request):
    return HttpResponse(1 / 0)


urlpatterns = [path("fail/", fail), path("elsewhere/", fail_elsewhere)]


def finish():
    for thread in threading.enumerate():
        if getattr(thread, "_target", None) is error_mails.send:
            thread.join()


@pytest.fixture
def handler(settings, committed_db):
    """The handler of a process, as the settings of production have it."""
    settings.ADMINS = [("Ada", "ada@example.com"), "bob@example.com"]
    settings.TENANCY_EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.ROOT_URLCONF = __name__
    handler = error_mails.ErrorMailHandler(level=logging.ERROR)
    handler.addFilter(TenantFilter())
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)
    finish()
    Limit.objects.all().delete()
    connection.close()


def ask(path, **options):
    page = Client(SERVER_NAME="first.localhost", raise_request_exception=False).get(path, **options)
    finish()
    return page


def test_an_error_is_mailed_with_what_the_log_has(handler, mailoutbox):
    page = ask("/fail/?number=secret", headers={"cookie": "session=secret"})

    [message] = mailoutbox
    assert page.status_code == 500
    assert message.subject == "[Main Site] Internal Server Error: /fail/"
    assert message.to == ["ada@example.com", "bob@example.com"]
    assert f"Request id: {page['X-Request-ID']}" in message.body
    assert "Host: first.localhost" in message.body
    assert "\nSchema: first_" in message.body
    assert "ZeroDivisionError" in message.body
    assert "cookie" not in message.body


def test_the_same_error_is_mailed_once_a_minute_whatever_the_page_says(
    handler, mailoutbox, monkeypatch
):
    for number in range(3):
        ask(f"/fail/?number={number}")
    ask("/elsewhere/")
    assert len(mailoutbox) == 2

    Limit.objects.all().delete()
    monkeypatch.setattr(error_mails, "SECONDS", 0)
    ask("/fail/")
    assert len(mailoutbox) == 3


def test_all_processes_count_together(handler, mailoutbox):
    ask("/fail/")
    handler.last.clear()  # as in another process
    ask("/fail/")

    assert len(mailoutbox) == 1


def test_without_a_database_each_process_counts_for_itself(handler, mailoutbox, monkeypatch):
    monkeypatch.setattr("tenancy.limits.Table.ADD", "SELECT nothing FROM {table}")
    for _ in range(2):
        logger.error("one\ntwo")
        finish()

    assert [message.subject for message in mailoutbox] == ["[Main Site] one"]


def test_an_email_that_is_not_sent_is_a_line_and_no_further_email(handler, settings, caplog):
    settings.TENANCY_EMAIL_BACKEND = "no.such.Backend"
    logger.error("x")
    finish()

    line = "The e-mail “[Main Site] x” was not sent: ModuleNotFoundError: No module named 'no'"
    assert [record.message for record in caplog.records] == ["x", line]


def test_without_admins_nothing_is_sent(handler, settings, mailoutbox):
    settings.ADMINS = []
    logger.error("x")
    finish()

    assert mailoutbox == []
