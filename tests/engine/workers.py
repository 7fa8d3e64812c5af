"""A Redis that keeps what it was given, and workers with processes of their own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import connection
from server.celery import app

SETTINGS = """\
from engine.settings import *
DATABASES["default"]["NAME"] = {name!r}
CELERY_BROKER_URL = CELERY_RESULT_BACKEND = {url!r}
CELERY_BROKER_TRANSPORT_OPTIONS = {options!r}
CELERY_IMPORTS = ["engine.tasks", "connected"]
"""
CONNECTED = "from django.db import connection; connection.ensure_connection()"
BEAT = """\
from worker_settings import *
CELERY_BEAT_SCHEDULE = {
    "often": {
        "task": "tenancy.background.tasks.in_each_tenant",
        "schedule": 0.5,
        "kwargs": {"task": "engine.tasks.tell_where", "args": ["beat"], "window": 0},
    }
}
"""
# What nobody has acknowledged comes back after two seconds, and is looked for each second.
OPTIONS = {
    "visibility_timeout": 2,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    # A Redis that is killed while a worker looks remembers that it does so, for five minutes.
    "unacked_mutex_expire": 1,
    "socket_connect_timeout": 2,  # as in the project's settings
    "socket_timeout": 5,
}
PATIENCE = 60  # seconds


class Process:
    """A program whose output is waited for."""

    def __init__(self, *command, **env):
        self.lines, self.news = [], threading.Condition()
        self.process = subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            env=os.environ | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.lines.append("(ended)")
            self.news.notify_all()

    def said(self, text: str) -> str:
        """The first line with the text, once there is one. Raises AssertionError."""

        def found():
            return [line for line in self.lines if text in line or line == "(ended)"]

        with self.news:
            assert self.news.wait_for(found, PATIENCE), "\n".join(self.lines)
            assert text in found()[0], "\n".join(self.lines)
            return found()[0]

    def kill(self):
        """Kill -9, with the processes that it has started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def use(**settings) -> dict:
    """Have this process' app use another broker; returns the settings as they were."""
    before = {name: app.conf[name] for name in settings}
    app.conf.update(settings)
    app._after_fork()  # it remembers connections and the backend
    app._backend_cache = None
    vars(app._local).pop("backend", None)
    return before


class Workers:
    """The Redis, through which this process sends from now on, and what starts workers at it."""

    def __init__(self, folder: Path):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        text = SETTINGS.format(name=connection.settings_dict["NAME"], url=self.url, options=OPTIONS)
        (folder / "worker_settings.py").write_text(text)
        (folder / "beat_settings.py").write_text(BEAT)
        # Open before the pool's processes are forked.
        (folder / "connected.py").write_text(CONNECTED)
        # Its own timeout, five seconds, would end each longer wait.
        self.client = redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=None)
        self.open()
        self.before = use(
            broker_url=self.url, result_backend=self.url, broker_transport_options=OPTIONS
        )

    def open(self):
        """Start Redis, with what it had when it was killed."""
        keeps = "--appendonly", "yes", "--appendfsync", "always", "--save", ""
        place = "--dir", str(self.folder), "--bind", "127.0.0.1", "--port", str(self.port)
        self.redis = Process("redis-server", *place, *keeps)
        self.redis.said("Ready to accept connections")

    def close(self):
        results = app.backend.result_consumer
        results.stop()
        results._pubsub = None  # else each result that nobody asked for looks for Redis
        use(**self.before)
        self.redis.kill()

    def left(self) -> dict[str, int]:
        """Return how many messages wait, and how many a worker has taken and not acknowledged."""
        waiting = self.client.llen(app.conf.task_default_queue)
        return {"waiting": waiting, "unacknowledged": self.client.hlen("unacked")}

    def start(self, *command, settings="worker_settings") -> Process:
        return Process(
            *(sys.executable, "-m", "celery", "-A", "server", *command),
            DJANGO_SETTINGS_MODULE=settings,
            PYTHONPATH=str(self.folder),
        )

    def ready(self, *options) -> Process:
        """A worker that takes tasks."""
        worker = self.start("worker", *options)
        worker.said(" ready.")
        return worker

    def beat(self) -> Process:
        """Beat, which twice a second has `tell_where` sent to each tenant, for the key `beat`."""
        schedule = "--schedule", str(self.folder / "schedule")
        return self.start("beat", *schedule, settings="beat_settings")

    def told(self, key: str) -> str:
        """What a task has told, or will tell."""
        answer = self.client.blpop(key, PATIENCE)
        assert answer, "No task has told anything."
        return answer[1]

    def wait_until_acknowledged(self):
        """Until the workers' main processes have heard of the end of each task."""
        deadline = time.monotonic() + PATIENCE
        while self.client.hlen("unacked"):
            assert time.monotonic() < deadline, "Some messages aren't acknowledged."
            time.sleep(0.01)


def need_redis():
    """Skip where it isn't installed, but fail in CI, which installs it."""
    if not shutil.which("redis-server"):
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up("redis-server is missing: apt install redis-server, or brew install redis")


@contextmanager
def closed_database():
    """Nobody can connect, and who had was thrown out, but for this process."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            throw_others_out()
            yield
        finally:
            cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def throw_others_out():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = current_user"
            " AND pid <> pg_backend_pid()"
        )
