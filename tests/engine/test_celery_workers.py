"""What real workers do with messages from a real Redis."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import WorkerLostError
from django.conf import settings
from django.db import connection, transaction
from django_tenants.utils import get_public_schema_name
from kombu.exceptions import OperationalError
from server.celery import app
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.background.messages import HEADER
from tenancy.exceptions import NoTenant, TenantGone, TenantNotActive
from tenancy.isolation.router import bind_to_current_tenant

from engine import tasks
from engine.copies import cleaned_up, provision
from engine.workers import PATIENCE, Process, Workers, closed_database, need_redis, throw_others_out

PUBLIC = get_public_schema_name()


@pytest.fixture(scope="module")
def workers(tmp_path_factory, django_db_setup, django_db_blocker):
    need_redis()
    with django_db_blocker.unblock():
        workers = Workers(tmp_path_factory.mktemp("redis"))
    worker = workers.ready("--concurrency", "2")
    workers.worker = worker
    yield workers
    worker.kill()
    workers.close()


@pytest.fixture(scope="module")
def threaded(workers):
    """Another worker, which has threads and not processes."""
    queues = "--queues", "threads,killed"
    worker = workers.ready("--pool", "threads", "--concurrency", "8", *queues)
    yield worker
    worker.kill()


@pytest.fixture
def tenants(workers, committed_db):
    """The session's tenants, which the workers see; the test begins in the first one."""
    first, other = Tenant.objects.get(slug="first"), Tenant.objects.get(slug="other")
    with first:
        yield first, other


@pytest.fixture
def first(tenants):
    return tenants[0]


@pytest.fixture
def other(tenants):
    return tenants[1]


@pytest.fixture
def key():
    return str(uuid.uuid4())


def result(of):
    return of.get(timeout=PATIENCE)


SIGNATURE = tasks.where.si()


@pytest.mark.parametrize(
    "send",
    [
        lambda: tasks.where.delay(),
        lambda: tasks.where_the_database_is.delay(),
        lambda: tasks.where.apply_async(countdown=0.1),
        lambda: tasks.call_directly.delay(),
        lambda: tasks.where_after_retries.delay(2),
        lambda: tasks.where_after_a_retry_from.delay("other"),
        lambda: SIGNATURE.delay(),
        lambda: app.send_task("engine.tasks.where"),
        lambda: app.signature("engine.tasks.where").delay(),
    ],
)
def test_a_task_runs_in_the_tenant_that_sends_it(first, other, send):
    sent = send()
    with other:
        others = send()
        assert [result(sent), result(others)] == [first.schema_name, other.schema_name]


@pytest.mark.parametrize("send", ["on_commit", "delay_on_commit"])
def test_what_waits_for_the_commit_keeps_the_tenant_of_the_call(workers, first, other, key, send):
    with transaction.atomic():
        if send == "on_commit":
            transaction.on_commit(lambda: tasks.tell_where.delay(key))
        else:
            tasks.tell_where.delay_on_commit(key)
        connection.set_tenant(other)

    assert workers.told(key) == first.schema_name


@pytest.mark.parametrize("before", [tasks.where, tasks.where_public])
def test_what_comes_after_a_task_keeps_the_tenant_of_the_call(workers, first, before, key):
    """Also after a public one, and that is where Celery sends it from."""
    chain(before.si(), tasks.where_public.si(), tasks.tell_where.si(key)).delay()
    assert workers.told(key) == first.schema_name

    before.apply_async(link=tasks.tell_where.si(key))
    assert workers.told(key) == first.schema_name

    assert result(chord([before.si(), before.si()], tasks.where.si()).delay()) == first.schema_name

    nested = chain(before.si(), group(before.si(), before.si()), tasks.where.si())
    assert result(nested.delay()) == first.schema_name


@pytest.mark.parametrize("failing", [tasks.fail, tasks.fail_in_public])
def test_what_comes_after_an_error_keeps_the_tenant_of_the_call(workers, first, failing, key):
    failing.apply_async(link_error=tasks.tell_where_it_failed.s(key))
    assert workers.told(key) == first.schema_name

    body = tasks.where.si().on_error(tasks.tell_where_it_failed.s(key))
    chord([failing.si(), tasks.where.si()], body).delay()
    assert workers.told(key) == first.schema_name


def test_a_group_keeps_the_tenant_of_the_call(first):
    sent = group(tasks.where.si(), tasks.where_public.si(), tasks.where.si()).delay()

    assert result(sent) == [first.schema_name, PUBLIC, first.schema_name]


def test_a_task_whose_tenant_is_gone_fails(workers, first, key):
    """What is linked to its error runs nowhere: neither in public, nor in the task before's."""
    linked = tasks.tell_where_it_failed.s(key)
    sent = tasks.tell_where.apply_async([key], headers={HEADER: "gone_00000000"}, link_error=linked)

    with pytest.raises(TenantGone, match="No tenant has the schema “gone_00000000”"):
        result(sent)
    workers.worker.said("Errback 'engine.tasks.tell_where_it_failed' raised an exception")
    assert not workers.client.exists(key)


@pytest.mark.parametrize("move", [lifecycle.suspend, lifecycle.delete])
def test_a_change_of_the_tenant_reaches_the_worker(workers, first, other, move):
    with other:
        back = lifecycle.resume if move is lifecycle.suspend else lifecycle.undelete
        assert result(tasks.where.delay()) == other.schema_name
        move(other, "test")
        try:
            with pytest.raises(TenantNotActive, match=f"“{other.schema_name}” is "):
                result(tasks.where.delay())
            assert result(tasks.where_public.delay()) == PUBLIC
        finally:
            back(other, "test")
        assert result(tasks.where.delay()) == other.schema_name


def test_a_message_that_names_no_tenant_fails(first):
    with pytest.raises(NoTenant, match=r"engine\.tasks\.where was sent in public"):
        tasks.where.apply_async(headers={HEADER: PUBLIC})
    with pytest.raises(NoTenant, match="public=True"):
        result(unsent("engine.tasks.where", PUBLIC))
    with pytest.raises(NoTenant, match="public=True"):
        result(unsent("engine.tasks.where", None))


def unsent(name, schema_name):
    """Send a task as a program does that knows nothing of tenants."""
    other = Celery(broker=app.conf.broker_url, backend=app.conf.broker_url, set_as_current=False)
    shared = "broker_transport_options", "result_backend_transport_options", "task_default_queue"
    other.conf.update({name: app.conf[name] for name in shared})
    return other.send_task(name, headers={HEADER: schema_name} if schema_name else {})


@pytest.fixture
def waiting(workers, first, key):
    """Sends tasks that wait, and lets them end when the test does."""

    def send(task=tasks.wait, **options):
        task.apply_async([key, f"{key} go"], **options)
        schema_name, process, its_connection = workers.told(key).split()
        return schema_name, int(process), int(its_connection)

    yield send
    workers.client.rpush(f"{key} go", "go")


def test_processes_do_not_share_a_connection(waiting):
    """Although one was open before they were forked."""
    _, *one = waiting()
    _, *other = waiting()

    assert not set(one) & set(other)


def test_a_task_comes_back_whose_process_is_killed(workers, first, waiting, key):
    _, process, _ = waiting()
    os.kill(process, signal.SIGKILL)

    schema_name, another, _ = workers.told(key).split()
    assert schema_name == first.schema_name
    assert int(another) != process


def test_a_task_that_kills_its_process_does_so_a_few_times(workers, first, key):
    sent = tasks.kill_its_process.delay(key)

    with pytest.raises(WorkerLostError):
        result(sent)
    told = workers.client.lrange(key, 0, -1)  # also by what came back because of OPTIONS
    assert len(told) > 2
    assert {*told} == {first.schema_name}


def test_who_hears_of_a_killed_process_is_in_the_tenant(workers, first, waiting, key):
    """The worker's main process calls what is linked, and sends the signal."""
    linked = tasks.tell_where_it_failed.s(f"{key} error")
    _, process, _ = waiting(tasks.wait_once, link_error=linked)
    os.kill(process, signal.SIGKILL)

    assert workers.told(f"{key} error") == first.schema_name
    assert workers.told(f"{key} signal") == first.schema_name


def test_who_hears_of_a_task_that_took_too_long_is_in_the_tenant(workers, first, waiting, key):
    waiting(tasks.wait_too_long)

    assert workers.told(f"{key} hook") == first.schema_name
    assert workers.told(f"{key} signal") == first.schema_name


@pytest.mark.parametrize("queue", [None, "threads"])
def test_who_hears_of_a_rejected_task_is_in_the_tenant(workers, threaded, first, key, queue):
    tasks.reject.apply_async([key], queue=queue)

    assert workers.told(f"{key} signal") == first.schema_name


def test_a_handler_that_raises_is_called_again_in_the_tenant(workers, first, key):
    worker = workers.ready("--concurrency", "1", "--queues", "one")
    tasks.fail_twice.apply_async([key], queue="one")
    tasks.begin.apply_async([key], queue="one")

    assert [workers.told(key), workers.told(key)] == [first.schema_name] * 2
    assert workers.told(key) == PUBLIC  # whoever hears that the next one begins
    worker.kill()


@pytest.mark.parametrize("failing", [tasks.fail, tasks.fail_in_public])
def test_what_is_linked_and_takes_no_request_keeps_its_tenant(workers, first, key, failing):
    failing.apply_async(link_error=tasks.tell_twice.si(key, 1))
    assert workers.told(key) == first.schema_name
    failing.apply_async(link_error=tasks.tell_twice_in_public.si(key, 1))
    assert workers.told(key) == PUBLIC


def test_who_hears_of_a_failure_in_a_tenant_that_is_suspended_by_then_is_nowhere(
    workers, first, waiting, key
):
    _, process, _ = waiting(tasks.wait_once)
    lifecycle.suspend(first, "test")
    try:
        os.kill(process, signal.SIGKILL)
        assert workers.told(f"{key} signal") == "nowhere"
        workers.worker.said(
            "The handlers of engine.tasks.wait_once's failure run in no schema: The ten"
        )
    finally:
        lifecycle.resume(first, "test")


def test_a_failure_of_which_its_process_tells_needs_no_database(workers, first, key):
    sent = tasks.wait_and_fail.delay(key, f"{key} go")
    workers.told(key)
    with closed_database():
        workers.client.rpush(f"{key} go", "go")
        with pytest.raises(ValueError, match="on purpose"):
            result(sent)
        workers.wait_until_acknowledged()

    assert not [line for line in workers.worker.lines if "wait_and_fail failed" in line]


def test_a_task_comes_back_whose_worker_is_killed(workers, first, waiting, key, request):
    worker = workers.ready("--concurrency", "1", "--queues", "killed")
    waiting(queue="killed")
    worker.kill()

    request.getfixturevalue("threaded")
    assert workers.told(key).split()[0] == first.schema_name


def test_a_task_waits_for_a_database_that_is_away(workers, first, other):
    with closed_database():
        sent = [tasks.where.delay(), tasks.where_public.delay()]
        with other:
            sent.append(tasks.where.delay())
        for one in sent:
            workers.worker.said(f"[{one.id}] retry: Retry in ")

    assert [*map(result, sent)] == [first.schema_name, PUBLIC, other.schema_name]


def test_a_connection_that_was_lost_is_opened_anew(first):
    throw_others_out()

    assert [result(tasks.where_the_database_is.delay()) for _ in range(10)] == (
        [first.schema_name] * 10
    )


def test_threads_stay_apart(threaded, tenants):
    sent = []
    for tenant in tenants * 50:
        with tenant:
            sent.append((tenant, tasks.where_the_database_is.apply_async(queue="threads")))

    assert [result(one) for _, one in sent] == [tenant.schema_name for tenant, _ in sent]


def test_the_log_says_which_tenant_a_task_is_of(workers, first):
    sent = tasks.log.delay("from a task")
    result(sent)

    assert f" WARNING {first.schema_name} server.notes: from a task" in workers.worker.said(
        "from a task"
    )
    assert f" INFO {first.schema_name} celery.app.trace: Task engine.tasks.log" in (
        workers.worker.said(f"[{sent.id}] succeeded")
    )


def test_a_worker_says_that_it_is_well(workers):
    workers.start("inspect", "ping").said("pong")


def test_beat_goes_on_when_the_database_was_away(workers, tenants):
    beat = workers.beat()
    wanted = {tenant.schema_name for tenant in tenants}
    while wanted:
        wanted.discard(workers.told("beat"))

    with closed_database():
        before = len(beat.lines)
        with beat.news:
            assert beat.news.wait_for(lambda: len(beat.lines) > before + 1, PATIENCE)
    workers.client.delete("beat")
    assert workers.told("beat")
    assert "(ended)" not in beat.lines
    beat.kill()


@pytest.fixture(scope="module")
def twenty(workers, django_db_blocker):
    """Tenants of which nothing is left in the end."""
    with django_db_blocker.unblock(), cleaned_up():
        yield [provision(f"many{number}") for number in range(20)]


def written(tenants, key):
    """The notes with the key, by tenant."""
    found = []
    for tenant in tenants:
        with tenant:
            notes = Note.objects.filter(text__startswith=key)
            texts = set(notes.values_list("text", flat=True))  # a task may run twice
            found.append(sorted(int(text.split()[1]) for text in texts))
    return found


@pytest.mark.usefixtures("committed_db")
def test_hundreds_of_tasks_land_in_their_tenants(twenty, key):
    """Of which some fail after writing, and are sent again."""
    chance = random.Random(1)  # noqa: S311
    sent = []
    for number in range(300):
        with twenty[number % 20]:
            sent.append(tasks.write.delay(f"{key} {number}", chance.choice([0, 0, 1, 2])))
    for one in sent:
        result(one)

    assert written(twenty, key) == [[*range(at, 300, 20)] for at in range(20)]


@pytest.mark.usefixtures("committed_db")
def test_what_redis_acknowledged_outlives_it(workers, twenty, key):
    """It comes last, for results are lost then, and Celery's worker may end.

    Celery takes a message off Redis' list and puts it among the unacknowledged in two steps: one
    that is between them may be lost.
    """
    acknowledged, some = [], threading.Event()

    def send():
        # RuntimeError: Celery misses its results before it misses its broker.
        with suppress(OperationalError, RuntimeError):
            for number in itertools.count():
                with twenty[number % 20]:
                    tasks.write.delay(f"{key} {number}")
                acknowledged.append(number)
                if number == 200:
                    some.set()

    sending = threading.Thread(target=bind_to_current_tenant(send))
    sending.start()
    assert some.wait(PATIENCE)
    workers.redis.kill()
    sending.join()
    workers.open()
    another = workers.ready()

    deadline = time.monotonic() + PATIENCE
    while len(lost := {*acknowledged} - {*itertools.chain(*(found := written(twenty, key)))}) > 1:
        assert time.monotonic() < deadline, (lost, workers.left(), another.lines)
        time.sleep(0.05)
    assert all(number % 20 == at for at in range(20) for number in found[at])
    another.kill()


SHARED = """\
import os
os.environ |= {{"PROJECT_NAME": {name!r}}}
from engine.settings import *
CACHE_URL = CELERY_BROKER_URL = CELERY_RESULT_BACKEND = {url!r}
CELERY_BROKER_TRANSPORT_OPTIONS = {{"global_keyprefix": NAMESPACE}}
CACHES["default"] |= {{
    "BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": {url!r}
}}
DATABASES["default"]["NAME"] = {database!r}
CELERY_IMPORTS = ["engine.tasks"]
"""
# Sends a task, with a result and a key in the cache; says what of the others' it finds.
VISITOR = """
import django
django.setup()
from django.core.cache import cache
from server.celery import app
from engine.tasks import where_public
with app.connection_for_write() as connection:
    queue = app.amqp.queues[app.conf.task_default_queue].bind(connection.default_channel)
    queue.declare()
    before = queue.queue_declare().message_count
    sent = where_public.delay()
    after = queue.queue_declare().message_count
print(before, after, cache.get("key"), app.control.ping(timeout=1))
cache.set("key", {name!r})
print(sent.get(timeout=30) if {answers} else sent.status)
"""


def test_two_projects_share_a_redis_and_nothing_in_it(workers, tmp_path):
    """R13: neither tasks nor results, cached values or remote control reach the other project."""

    def visit(name, *, answers):
        return subprocess.run(
            [sys.executable, "-c", VISITOR.format(name=name, answers=answers)],
            cwd=settings.BASE_DIR,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": name, "PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.splitlines()

    for name in ("one", "two"):
        text = SHARED.format(name=name, url=workers.url, database=connection.settings_dict["NAME"])
        (tmp_path / f"{name}.py").write_text(text)
    worker = Process(
        *(sys.executable, "-m", "celery", "-A", "server", "worker", "--concurrency", "1"),
        DJANGO_SETTINGS_MODULE="one",
        PYTHONPATH=str(tmp_path),
    )
    worker.said(" ready.")

    [found, answer] = visit("one", answers=True)
    assert "'ok': 'pong'" in found  # its worker's
    assert answer == PUBLIC

    assert visit("two", answers=False) == ["0 1 None []", "PENDING"]
    assert " one [{" in visit("one", answers=True)[0]
    assert visit("two", answers=False) == ["1 2 two []", "PENDING"]
    names = {key.partition(".")[0] for key in workers.client.scan_iter() if "localhost:" in key}
    assert {"one", "two"} <= names
    worker.kill()
