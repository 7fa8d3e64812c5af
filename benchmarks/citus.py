"""Moves an installation of 100 tenants from one server to Citus while it answers requests.

    CITUS_SUPERUSER=postgres CITUS_NODES=127.0.0.1:9701,127.0.0.1:9702 \
        DATABASE_URL=postgres://app:app@127.0.0.1:9700/postgres uv run python -m benchmarks.citus

The server is a coordinator-to-be: it has loaded Citus, but the installation's database has no
extension yet. docs/scale.md of a rendered project names the same steps. This prints how long each
takes, and how many of the requests meanwhile failed. The project's Django reads and writes notes,
as an anonymous visitor and as a member.
"""

import contextlib
import http.client
import os
import random
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2

from benchmarks.projects import INSIDE, Side
from tests.projects import Project, cookiecutter, copy_template, environment

TENANTS = int(os.environ.get("TENANTS", "100"))
DATABASE = "moving"
VISITORS = 4
SETTINGS = """
from server.settings import *
CSRF_COOKIE_NAME = "csrf"
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
"""
TOKEN = "a" * 32
URL = urlsplit(os.environ.get("DATABASE_URL", ""))
SUPERUSER, _, PASSWORD = os.environ.get("CITUS_SUPERUSER", "postgres").partition(":")
NODES = [node.rpartition(":")[::2] for node in os.environ.get("CITUS_NODES", "").split(",")]


def main():
    coordinator = URL.hostname, URL.port
    for node in (coordinator, *NODES):
        drop = f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"
        execute(node, "postgres", drop, f"CREATE DATABASE {DATABASE} OWNER {URL.username}")
    with tempfile.TemporaryDirectory(prefix="citus-") as folder:
        side = bake(Path(folder))
        cookies = grow(side)
        with side.serving() as port, visiting(port, cookies) as visits:
            time.sleep(20)
            visits.report("on one server")
            with visits.phase("the extension and the nodes"):
                add_citus(coordinator)
            with visits.phase("migrate_schemas: reference tables"):
                side.project.manage("migrate_schemas", "--shared")
            with visits.phase("distribute_tenants"):
                print(side.project.manage("distribute_tenants").stdout.splitlines()[-1])
            time.sleep(20)
            visits.report("on two nodes")
        print(side.project.manage("tenant_doctor", check=False).stdout)
        print(f"Notes that were written, and that are there: {visits.written}, {notes(side)}.")


def execute(node, database, *statements):
    host, port = node
    own = psycopg2.connect(host=host, port=port, user=SUPERUSER, password=PASSWORD, dbname=database)
    own.autocommit = True
    with contextlib.closing(own), own.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def add_citus(coordinator):
    for node in (coordinator, *NODES):
        execute(node, DATABASE, "CREATE EXTENSION citus")
    add = [f"SELECT citus_add_node('{host}', {port})" for host, port in NODES]
    host, port = coordinator
    execute(coordinator, DATABASE, f"SELECT citus_set_coordinator_host('{host}', {port})", *add)


def bake(folder):
    cookiecutter(copy_template(folder / "template"), folder)
    path = folder / "acme_cloud"
    (path / "citus_settings.py").write_text(SETTINGS)
    env = environment(
        DATABASE_URL=URL._replace(path=f"/{DATABASE}").geturl(),
        DJANGO_SETTINGS_MODULE="citus_settings",
        PYTHONPATH=f"{INSIDE}:{path}",
        DEBUG="off",
        HTTPS="off",
        EMAIL_HOST="localhost",
    )
    project = Project(path, (path / ".venv/bin/python",), env)
    project.manage("init_tenant")
    at = {"host": URL.hostname, "port": URL.port, "user": URL.username, "password": URL.password}
    return Side("ours", project, at | {"dbname": DATABASE}, Path())


def grow(side):
    """Make the tenants, and return a member's cookie for each host."""
    with side.worker() as worker:
        for number in range(TENANTS):
            worker.do("provision", slug=f"tenant-{number}")
        tenants = side.query("SELECT slug, schema_name FROM tenants_tenant WHERE slug <> 'public'")
        return {slug: worker.do("write", schema=schema) for slug, schema in tenants}


def notes(side):
    schemas = side.query("SELECT schema_name FROM tenants_tenant WHERE slug <> 'public'")
    counts = [f'SELECT count(*) FROM "{schema}".notes_note' for (schema,) in schemas]
    return sum(side.query(count)[0][0] for count in counts)


class Visits:
    def __init__(self):
        self.answers, self.slowest, self.written = Counter(), 0, TENANTS
        self.lock = threading.Lock()

    def add(self, answer, seconds, is_note):
        with self.lock:
            self.answers[answer] += 1
            self.slowest = max(self.slowest, seconds)
            self.written += is_note and answer == 302

    @contextlib.contextmanager
    def phase(self, name):
        began = time.perf_counter()
        yield
        self.report(f"{name}, {time.perf_counter() - began:.1f} s")

    def report(self, name):
        with self.lock:
            print(f"{name}: {dict(self.answers)}, the slowest {self.slowest:.2f} s", flush=True)
            self.answers, self.slowest = Counter(), 0


@contextlib.contextmanager
def visiting(port, cookies):
    visits, ended = Visits(), threading.Event()
    threads = [
        threading.Thread(target=visit, args=(port, cookies, visits, ended)) for _ in range(VISITORS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield visits
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def visit(port, cookies, visits, ended):
    while not ended.is_set():
        slug = random.choice([*cookies])  # noqa: S311
        kind = random.choice(["anonymous", "reads", "writes"])  # noqa: S311
        headers = {"Host": f"{slug}.localhost"}
        if kind != "anonymous":
            headers["Cookie"] = f"{cookies[slug]}; csrf={TOKEN}"
        body = f"text=x&csrfmiddlewaretoken={TOKEN}" if kind == "writes" else None
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        began = time.perf_counter()
        try:
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            asked.request("POST" if body else "GET", "/notes/", body, headers)
            answer = asked.getresponse()
            answer.read()
            status = answer.status
            asked.close()
        except OSError as error:
            status = type(error).__name__
        visits.add(status, time.perf_counter() - began, bool(body))


if __name__ == "__main__":
    main()
