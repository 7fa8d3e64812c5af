"""Sending, eager tasks and checks, without a worker."""

import re
import subprocess
import sys
import uuid
from datetime import timedelta
from email.mime.image import MIMEImage
from typing import ClassVar
from zlib import crc32

import pytest
from celery import Task, chain, chord, group, shared_task
from celery.app.trace import build_tracer
from django.conf import settings
from django.core import mail
from django.core.checks import run_checks
from django.core.mail.backends import locmem
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy
from kombu.exceptions import OperationalError
from server.celery import app
from server.notes.models import Note
from server.notes.tasks import send_digest
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.background import tasks as background
from tenancy.background.mail import deserialize, send_email, serialize
from tenancy.background.messages import HEADER, with_tenant
from tenancy.background.task import TenantTask
from tenancy.exceptions import NoTenant, TenantGone, TenantNotActive
from tenancy.outbox import outbox

from engine import statements, tasks
from engine.tasks import where, where_public


def test_shared_tasks_belong_to_the_project():
    assert where.app is app


def test_the_queue_is_the_projects(settings):
    """R13: no broker but Redis has a prefix for all keys."""
    assert [*app.amqp.queues] == [settings.PROJECT_SLUG] == ["acme-cloud"]


def test_a_task_that_is_called_is_a_plain_function(tenant, other_tenant):
    with other_tenant:
        assert where() == other_tenant.schema_name
    assert where_public() == tenant.schema_name


def test_an_eager_task_runs_in_the_tenant_that_called_it(tenant, other_tenant):
    assert where.apply().get() == tenant.schema_name
    with other_tenant:
        assert where.apply().get() == other_tenant.schema_name
    assert where_public.apply().get() == "public"


def test_an_eager_task_leaves_the_caller_where_it_was(tenant, other_tenant):
    for task in (where, where_public, tasks.fail, tasks.fail_in_public):
        task.apply(headers={HEADER: other_tenant.schema_name})
        assert connection.tenant is tenant


@pytest.fixture
def eager():
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.mark.usefixtures("eager")
def test_eager_mode_keeps_the_tenant_of_the_call(tenant):
    seen: ClassVar[list] = []

    @shared_task(name="seen")
    def see(*ignored):
        seen.append(connection.schema_name)

    see.delay()
    chain(where_public.si(), see.si()).delay()
    chord([where_public.si(), where.si()], see.si()).delay()
    where_public.apply_async(link=see.si())
    tasks.where_after_retries.delay(2)
    see.delay_on_commit()

    assert seen == [tenant.schema_name] * 4
    assert connection.tenant is tenant


def test_an_eager_task_of_a_tenant_that_cannot_be_entered_fails(tenant, other_tenant):
    with pytest.raises(TenantGone, match="“gone_00000000”"):
        where.apply(headers={HEADER: "gone_00000000"}, throw=True)
    lifecycle.suspend(other_tenant, "test")
    with pytest.raises(TenantNotActive, match="is suspended"):
        where.apply(headers={HEADER: other_tenant.schema_name}, throw=True)


@pytest.mark.parametrize("schema_name", ["", "../x", "x" * 10_000, "\x00", "\ud800", 7])
def test_a_name_that_nobody_has_is_an_error(tenant, schema_name):
    with pytest.raises(Exception):  # noqa: B017, PT011
        where.apply(headers={HEADER: schema_name} if schema_name else {HEADER: "-"}, throw=True)
    assert connection.tenant is tenant


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize(
    "send",
    [
        lambda: where.delay(),
        lambda: where.apply(),
        lambda: app.send_task("engine.tasks.where"),
        lambda: chain(where_public.si(), where.si()).delay(),
        lambda: where_public.apply_async(link=where.si()),
        lambda: where_public.apply_async(link_error=where.si()),
    ],
)
def test_what_is_sent_in_public_says_so(send):
    with pytest.raises(NoTenant, match=r"engine\.tasks\.where was sent in public"):
        send()


def test_all_that_a_message_takes_along_is_addressed(tenant):
    body = where.si().set(link_error=[where.si()])
    inner = chord(group(where.si(), chain(where.si(), where_public.si())), body)
    options = {"link": where.si(), "chain": [where.si(), inner], "headers": {"own": 1}}

    sent = with_tenant(app, "engine.tasks.where", options)

    assert sent["headers"] == {"own": 1, HEADER: tenant.schema_name}
    assert str(sent).count(f"'{HEADER}': '{tenant.schema_name}'") == 8
    assert HEADER not in str(options)


@pytest.mark.usefixtures("committed_db")
def test_a_known_tenant_costs_no_query():
    schema_name = Tenant.objects.get(slug="first").schema_name
    run = build_tracer(where.name, where, app=app)
    request = {"id": "1", "headers": {HEADER: schema_name}}
    run("1", (), {}, dict(request))

    seen = statements.record()
    assert run("1", (), {}, dict(request)).retval == schema_name
    assert seen == []
    connection.close()


def test_what_is_mapped_runs_where_it_would_if_it_were_sent(tenant):
    assert where.map([1, 2]).apply().get() == [tenant.schema_name] * 2
    assert where.starmap([(1, 2)]).apply().get() == [tenant.schema_name]
    assert where_public.map([1, 2]).apply().get() == ["public"] * 2
    connection.set_schema_to_public()
    with pytest.raises(NoTenant, match=r"engine\.tasks\.where was sent in public"):
        where.map([1, 2]).apply().get()
    assert where_public.map([1]).apply().get() == ["public"]


def as_a_worker(task, schema_name, **request):
    """Run the task as a worker does that got such a message."""
    run = build_tracer(task.name, task, app=app)
    return run("1", (), {}, {"id": "1", "headers": {HEADER: schema_name}, **request}).retval


class Observed(TenantTask):
    """Keeps where it was called, and what PostgreSQL says of it."""

    seen: ClassVar[list] = []

    def see(self, *ignored):
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_schema")
            self.seen.append((connection.schema_name, *cursor.fetchone()))

    on_success = on_failure = after_return = see


@pytest.fixture
def observed():
    del Observed.seen[:]
    yield Observed.seen
    connection.close()


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("fails", [False, True])
def test_what_a_task_enters_it_leaves_before_its_handlers_run(observed, fails):
    first, other = (Tenant.objects.get(slug=slug) for slug in ("first", "other"))

    @shared_task(base=Observed, name=f"stays-{fails}")
    def stays():
        connection.set_tenant(other)
        assert not fails

    as_a_worker(stays, first.schema_name)
    assert observed == [(first.schema_name, first.schema_name)] * 2


@pytest.mark.usefixtures("committed_db")
def test_handlers_of_a_task_whose_tenant_is_gone_are_in_no_schema(observed):
    @shared_task(base=Observed, name="never")
    def never():
        raise AssertionError

    linked = tasks.tell_where_it_failed.s("key").set(headers={HEADER: "gone_00000000"})
    assert isinstance(as_a_worker(never, "gone_00000000", errbacks=[linked]).exception, TenantGone)
    assert observed == [("nowhere", None)] * 2

    del observed[:]
    never.apply(headers={HEADER: "gone_00000000"})
    assert observed == [("nowhere", None)] * 2
    assert connection.schema_name == "public"


@pytest.mark.usefixtures("committed_db")
def test_a_transaction_that_is_left_open_is_not_that_of_the_next_task():
    @shared_task(name="interrupted")
    def interrupted():
        transaction.atomic().__enter__()

    @shared_task(name="next")
    def writes():
        Tenant.objects.filter(slug="first").update(progress="written")

    schema_name = Tenant.objects.get(slug="first").schema_name
    as_a_worker(interrupted, schema_name)
    assert not connection.in_atomic_block
    as_a_worker(writes, schema_name)

    assert Tenant.objects.filter(slug="first", progress="written").update(progress="") == 1
    connection.close()


def test_a_task_of_another_class_is_found_and_refused(tmp_path):
    (tmp_path / "others.py").write_text(
        "from celery import Task, shared_task\n@shared_task(base=Task)\ndef other(): pass\n"
    )
    (tmp_path / "other_settings.py").write_text(
        'from engine.settings import *\nINSTALLED_APPS += ["others_app"]\n'
    )
    package = tmp_path / "others_app"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "others.py").rename(package / "tasks.py")
    found = "others_app.tasks.other isn't a TenantTask: it would always run in public."

    for command in (["-m", "celery", "-A", "server", "worker"], ["manage.py", "check"]):
        result = subprocess.run(
            [sys.executable, *command],
            cwd=settings.BASE_DIR,
            env={"PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "other_settings"},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 1
        assert found in result.stderr
        assert "Traceback" not in result.stderr


def test_a_task_is_sent_by_celerys_own_command():
    """It loads no apps."""
    result = subprocess.run(
        [sys.executable, *["-m", "celery", "--app", "server", "call", "engine.tasks.where"]],
        cwd=settings.BASE_DIR,
        env={
            "DJANGO_SETTINGS_MODULE": "engine.settings",
            "CELERY_BROKER_URL": "memory://localhost",
        },
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert uuid.UUID(result.stdout.strip())


def test_a_before_start_that_does_not_enter_the_tenant_is_an_error(tenant):
    @shared_task(name="forgets", before_start=lambda *args: None)
    def forgets():
        raise AssertionError

    with pytest.raises(NoTenant, match="must call super"):
        forgets.apply(throw=True)


def test_beat_may_send_nothing_but_public_tasks(settings):
    settings.CELERY_BEAT_SCHEDULE = {"a": {"task": "engine.tasks.where", "schedule": 1}}

    [error] = run_checks(tags=["background"])
    assert error.msg.startswith("CELERY_BEAT_SCHEDULE: “a” needs a public task")


def test_beat_finds_its_tables_in_public(settings, tmp_path, monkeypatch):
    beat = "django_celery_beat"
    (tmp_path / beat).mkdir()
    (tmp_path / beat / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, beat]
    settings.TENANT_APPS = [*settings.TENANT_APPS, beat]
    assert [error.id for error in run_checks(tags=["background"])] == ["background.E006"]

    settings.SHARED_APPS = [*settings.SHARED_APPS, beat]
    assert run_checks(tags=["background"]) == []


def test_a_broker_for_development_is_refused_in_production(settings):
    def found():
        return [error.id for error in run_checks(tags=["background"], include_deployment_checks=1)]

    assert found() == ["background.E003"]
    settings.CELERY_BROKER_URL = "redis://localhost:6379/0"
    limits = {"socket_connect_timeout": 2, "socket_timeout": 5}
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = limits
    assert found() == ["background.W005"]  # it has no prefix
    settings.CELERY_BROKER_TRANSPORT_OPTIONS |= {"global_keyprefix": "acme:"}
    assert found() == []


@pytest.fixture
def sent(monkeypatch):
    """What is sent: the task, its arguments and options."""
    sent = []
    monkeypatch.setattr(
        Task, "apply_async", lambda task, args, kwargs=None, **rest: sent.append((task, args, rest))
    )
    return sent


def test_a_task_goes_to_each_active_tenant_in_slices(public, tenant, other_tenant, sent):
    ours = {tenant.schema_name, other_tenant.schema_name}
    background.in_each_tenant("engine.tasks.where", window=600)
    slices, sent[:] = sent[:], []

    assert {name for _, (_, names, *_), _ in slices for name in names} == ours
    for _, (_, names, *_), options in slices:
        assert {options["countdown"]} == {crc32(name.encode()) % 60 * 10 for name in names}
    for task, args, _ in slices:
        task(*args)
    assert {options["headers"][HEADER] for _, _, options in sent} == ours


def test_a_task_goes_to_a_named_few_that_are_active(public, tenant, other_tenant, sent):
    lifecycle.suspend(other_tenant, "test")
    background.in_each_tenant("engine.tasks.where", slugs=["first", "other", "nobody"])

    assert [names for _, (_, names, *_), _ in sent] == [[tenant.schema_name]]


def test_purging_is_for_those_whose_time_is_over(public, tenant, other_tenant, sent):
    lifecycle.delete(tenant, "test")
    lifecycle.delete(other_tenant, "test")
    Tenant.all_objects.filter(pk=tenant.pk).update(deleted=timezone.now() - timedelta(days=31))
    background.purge_deleted()

    assert [(task.name, args) for task, args, _ in sent] == [
        ("tenancy.background.tasks.purge", (tenant.pk,))
    ]


class FailsOnce(locmem.EmailBackend):
    failures = 0

    def send_messages(self, messages):
        if not FailsOnce.failures:
            FailsOnce.failures += 1
            raise ConnectionRefusedError
        mail.outbox += [(connection.schema_name, message) for message in messages]


@pytest.fixture
def through_workers(settings):
    settings.EMAIL_BACKEND = "tenancy.background.mail.EmailBackend"
    settings.TENANCY_EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"


def an_email(*attachments, kind=mail.EmailMultiAlternatives):
    email = kind(gettext_lazy("Yes"), "Text", "from@x.org", ["to@x.org"], ["bcc@x.org"])
    email.reply_to, email.extra_headers = (
        ["reply@x.org"],
        {"Message-ID": "<1@x.org>", "Date": "now"},
    )
    for attachment in (("a.bin", b"\xff\x00", "a/b"), ("a.txt", "é", None), *attachments):
        email.attach(*attachment) if isinstance(attachment, tuple) else email.attach(attachment)
    return email


def without_boundaries(email):
    return re.sub("=====+[^\n]*", "", email.message().as_string())


@pytest.mark.usefixtures("tenant", "through_workers", "eager")
def test_a_worker_sends_the_emails(settings, django_capture_on_commit_callbacks):
    settings.TENANCY_EMAIL_BACKEND = f"{__name__}.FailsOnce"
    email = an_email()
    email.attach_alternative("<p>HTML</p>", "text/html")
    with django_capture_on_commit_callbacks(execute=True):
        assert email.send() == 1
        assert mail.outbox == []

    [(schema_name, sent)] = mail.outbox
    assert (schema_name, FailsOnce.failures) == ("public", 1)
    assert sent.recipients() == ["to@x.org", "bcc@x.org"]
    assert without_boundaries(sent) == without_boundaries(email)
    sent = deserialize(serialize(an_email(kind=mail.EmailMessage)))
    assert without_boundaries(sent) == without_boundaries(an_email())


class OwnEmail(mail.EmailMessage):
    pass


@pytest.mark.usefixtures("tenant", "through_workers")
@pytest.mark.parametrize("reason", ["a MIME part", "a class of its own", "no broker"])
def test_an_email_that_no_worker_can_send_is_sent_all_the_same(
    reason, monkeypatch, django_capture_on_commit_callbacks
):
    def refuse(text):
        assert reason == "no broker"
        raise OperationalError

    monkeypatch.setattr(send_email, "delay", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        an_email(
            *[MIMEImage(b"", "png")] * (reason == "a MIME part"),
            kind=OwnEmail if reason == "a class of its own" else mail.EmailMessage,
        ).send()
        assert mail.outbox == []
    if thread := outbox.thread:
        thread.join()
    assert [sent.subject for sent in mail.outbox] == ["Yes"]


def test_the_digest_tells_the_staff(tenant, other_tenant):
    send_digest()
    assert mail.outbox == []

    Note.objects.create(text="Milk", author=tenant.owner)
    with other_tenant:
        send_digest()
    assert mail.outbox == []

    send_digest()
    [sent] = mail.outbox
    assert sent.to == [tenant.owner.email]
    assert "1 new note" in sent.body
