"""No silent server stops the site: other visitors are answered, and each wait has an end."""

import socket

import pytest
from django.core.cache import caches
from django.core.checks import run_checks
from django.core.mail import EmailMessage
from django.db import OperationalError, connection
from django.db.backends.postgresql.psycopg_any import is_psycopg3
from redis.exceptions import TimeoutError as RedisTimeout
from tenancy.database.base import TIME_LIMITS
from tenancy.models import Limit
from tenancy.outbox import Outbox, outbox

from engine.processes import Fork
from engine.site import serving
from engine.workers import use

MAIL = """
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = (
    "tenancy.outbox.EmailBackend", "127.0.0.1", {port}, 8
)
EMAIL_USE_TLS = False
"""


@pytest.fixture
def silent():
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


def port_of(server):
    return server.getsockname()[1]


@pytest.fixture
def forget_limits(committed_db):
    yield
    Limit.objects.all().delete()


@pytest.mark.usefixtures("forget_limits")
def test_a_silent_mail_server_holds_up_nobody(silent, tmp_path, free_port):
    """R2: one worker, one anonymous password reset, then another visitor."""
    with serving(tmp_path, free_port, MAIL.format(port=port_of(silent))) as site:
        assert site.get().status == 200
        form = {"email": "admin@localhost"}
        answer = site.post("/account/password/reset/", form, host="localhost")
        assert answer.status == 302
        held, _ = silent.accept()  # the mail server is being waited for
        assert site.get(host="other.localhost").status == 200
        assert not [line for line in site.lines if "was not sent" in line]
        line = site.said("was not sent")
        assert "Your code for" in line
        assert "timed out" in line
        held.close()


class Letters:
    """A mail server whose letters are named in a file."""

    def __init__(self, **options):
        pass

    def send_messages(self, messages):
        if "fail" in messages[0].subject:
            raise ConnectionRefusedError("Nobody\nlistens")
        print(messages[0].subject, flush=True)


POST = """
from django.core.mail import EmailMessage
settings.TENANCY_EMAIL_BACKEND = "engine.test_time_limits.Letters"
settings.EMAIL_BACKEND = "tenancy.outbox.EmailBackend"
import threading
for number in range(5):
    EmailMessage(f"Letter {number}", to=["ada@example.com"]).send()
threading._shutdown()  # as Python does when a process ends; this one is ended by os._exit
"""


def test_a_process_that_ends_sends_what_waits(committed_db):
    said, errors = Fork(POST).communicate()

    assert said.split("\n")[:-1] == [f"Letter {number}" for number in range(5)], errors


def test_a_failure_is_one_line_and_the_next_letter_is_sent(settings, caplog, capfd):
    settings.TENANCY_EMAIL_BACKEND = f"{__name__}.Letters"
    own = Outbox()
    for subject in ("will fail", "next"):
        own.post(EmailMessage(subject))
        if thread := own.thread:
            thread.join()

    assert [record.message for record in caplog.records] == [
        "The e-mail “will fail” was not sent: ConnectionRefusedError: Nobody"
    ]
    assert "next" in capfd.readouterr().out


def test_only_so_many_wait(monkeypatch, caplog):
    monkeypatch.setattr("tenancy.outbox.MOST", 0)
    outbox.post(EmailMessage("One too many"))

    assert "“One too many” was not sent: 0 e-mails are waiting already" in caplog.text


def test_a_silent_database_is_given_up(committed_db, silent):
    own = connection.copy()
    own.settings_dict |= {
        "SERVER": lambda: {"HOST": "127.0.0.1", "PORT": port_of(silent)},
        "OPTIONS": {"connect_timeout": 2},
    }
    with pytest.raises(OperationalError, match="timeout"):
        own.ensure_connection()


def test_every_connection_to_the_database_has_the_limits(db):
    connection.ensure_connection()
    info = connection.connection.info
    parameters = info.get_parameters() if is_psycopg3 else info.dsn_parameters

    assert {name: int(parameters[name]) for name in TIME_LIMITS} == TIME_LIMITS


def redis_cache(port, **options):
    return {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{port}",
            "KEY_FUNCTION": "django_tenants.cache.make_key",
            "KEY_PREFIX": "tests",
            "OPTIONS": options,
        }
    }


def test_a_silent_cache_is_given_up(silent, settings):
    settings.CACHES = redis_cache(port_of(silent), socket_connect_timeout=0.1, socket_timeout=0.1)

    with pytest.raises(RedisTimeout):
        caches["default"].get("key")


def ids(*tags):
    return [message.id for message in run_checks(tags=tags)]


def test_a_missing_limit_is_named(settings):
    settings.EMAIL_BACKEND = "tenancy.outbox.EmailBackend"
    settings.EMAIL_TIMEOUT = None
    assert ids("tenants") == ["tenancy.W031"]

    settings.EMAIL_TIMEOUT = 10
    settings.CACHES = redis_cache(1, socket_timeout=2)
    assert ids("tenants") == ["tenancy.W031"]

    settings.CACHES = redis_cache(1, socket_timeout=2, socket_connect_timeout=2)
    assert ids("tenants") == []
    settings.CELERY_BROKER_URL = "redis://localhost"
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": "tests"}
    assert ids("background") == ["background.W004"]


def test_an_email_is_not_lost_at_a_silent_broker(committed_db, silent, settings, capfd):
    """R2: nor is it waited for without end."""
    settings.EMAIL_BACKEND = "tenancy.background.mail.EmailBackend"
    settings.TENANCY_EMAIL_BACKEND = f"{__name__}.Letters"
    before = use(
        broker_url=f"redis://127.0.0.1:{port_of(silent)}/0",
        broker_transport_options={"socket_connect_timeout": 0.2, "socket_timeout": 0.2},
    )
    try:
        EmailMessage("Through a thread", to=["ada@example.com"]).send()
    finally:
        use(**before)
    if thread := outbox.thread:
        thread.join()

    assert "Through a thread" in capfd.readouterr().out
