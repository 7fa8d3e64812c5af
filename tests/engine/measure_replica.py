"""What reading from a replica costs: `bin/test-engine engine/measure_replica.py -s`.

A replica on the same machine takes the cores of the primary. So requests per second show here what
reading there costs, and never what a second machine wins. The CPU time tells how much of the
primary's work goes to the replica. Rounds of the two ways alternate. `wrk` has to be installed.
"""

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import fmean, median

from django.conf import settings
from django.db import connection, connections
from tenancy.database import replica
from tenancy.requests.replica import COOKIE
from tenancy.testing.client import TenantClient

from engine.test_replica import ALIAS, asked, first, server, streaming  # noqa: F401 (fixtures)

ROUNDS, REQUESTS = 10, 50
SECONDS = 3  # of a round of requests per second
SERVED = """
from server.settings import *
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
"""
TICK = 1000 / os.sysconf("SC_CLK_TCK")  # milliseconds


def cpu() -> list[float]:
    """Return the milliseconds of this process, and of its servers, the primary's and the other."""
    pids = [connections[alias].connection.info.backend_pid for alias in ("default", ALIAS)]
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return [time.process_time() * 1000, *((int(s[11]) + int(s[12])) * TICK for s in stats)]


def test_what_reading_there_costs(first, monkeypatch):  # noqa: F811
    client = TenantClient(first, first.owner)
    client.get("/notes/")  # opens both connections
    get = lambda: client.get("/notes/")  # noqa: E731
    post = lambda: client.post("/notes/", {"text": ""})  # noqa: E731 (which writes nothing)
    found = {}
    for name, do in (("get", get), ("post", post)):
        for at in range(ROUNDS * 2):
            alias = ALIAS if at % 2 else None
            monkeypatch.setattr(replica, "alias", alias)
            client.cookies.pop(COOKIE, None)
            do()
            before = cpu()
            for _ in range(REQUESTS):
                do()
                client.cookies.pop(COOKIE, None)
            after = cpu()
            spent = [(b - a) / REQUESTS for a, b in zip(before, after, strict=True)]
            found.setdefault((name, bool(alias)), []).append(spent)
    for (name, with_replica), rounds in found.items():
        here, primary, other = (fmean(column) for column in zip(*rounds, strict=True))
        print(
            f"{name}, replica {with_replica}: {here:.3f} ms here, {primary:.3f} ms at the primary,"
            f" {other:.3f} ms at the replica"
        )


def test_how_many_requests_are_answered(first, streaming, free_port, tmp_path):  # noqa: F811
    """Print the requests per second of a signed-in person, by two gunicorn workers and wrk."""
    (tmp_path / "served.py").write_text(SERVED)
    client = TenantClient(first, first.owner)
    cookie = f"Cookie: {settings.SESSION_COOKIE_NAME}={client.session.session_key}"
    headers = ["-H", f"Host: {first.get_primary_domain().domain}", "-H", cookie]
    queries = "SELECT xact_commit FROM pg_stat_database WHERE datname = '{NAME}'"
    queries = queries.format(**connection.settings_dict)
    before = streaming.ask(queries)
    ports, found = {"without": free_port, "with": free_port + 1}, {"without": [], "with": []}
    with ExitStack() as stack:
        for name, port in ports.items():
            address = url(streaming.port) if name == "with" else ""
            stack.enter_context(serving(tmp_path, port, REPLICA_URL=address))
        for name in [*ports] * (ROUNDS // 2 + 1):
            page = f"http://127.0.0.1:{ports[name]}/notes/"
            command = ["wrk", "-t1", "-c8", f"-d{SECONDS}s", *headers, page]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert "Non-2xx" not in said, said
            found[name].append(float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]))
    assert streaming.ask(queries) - before > sum(found["with"]) * SECONDS / 2
    rounds = [each[1:] for each in found.values()]  # the first one warms
    without, with_replica = map(median, rounds)
    share = median(b / a for a, b in zip(*rounds, strict=True))
    print(f"\n{without:.0f} requests per second, {with_replica:.0f} with a replica: {share:.2f}")


def url(port) -> str:
    return "postgres://{USER}:{PASSWORD}@{HOST}:{}/{NAME}".format(port, **connection.settings_dict)


@contextmanager
def serving(folder, port, **env):
    """Serve the project, on the tests' database."""
    deployed = {"DEBUG": "off", "EMAIL_HOST": "localhost", "CELERY_BROKER_URL": "redis://localhost"}
    address = {"DATABASE_URL": url(connection.settings_dict["PORT"])}
    paths = {"DJANGO_SETTINGS_MODULE": "served", "PYTHONPATH": f"{folder}:{Path.cwd()}"}
    wsgi = "django.core.wsgi:get_wsgi_application()"
    options = ["--workers=2", f"--bind=127.0.0.1:{port}", "--log-level=warning"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", wsgi, *options],
        env=os.environ | deployed | address | paths | env,
    )
    try:
        while process.poll() is None and not answers(port):
            time.sleep(0.1)
        assert process.poll() is None
        yield
    finally:
        process.terminate()
        process.wait()


def answers(port) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_how_many_statements_a_request_has(first, monkeypatch):  # noqa: F811
    client = TenantClient(first, first.owner)
    for alias in (None, ALIAS):
        monkeypatch.setattr(replica, "alias", alias)
        client.get("/notes/")
        with asked() as there, asked("default") as here:
            client.get("/notes/")
        print(
            f"\nreplica {alias}: {len(here)} statements at the primary, {len(there)} at the replica"
        )


def test_how_soon_a_browser_is_back_at_the_replica(first, streaming, monkeypatch):  # noqa: F811
    """A write, and a page each tenth of a second for six seconds."""
    client, back = TenantClient(first, first.owner), []
    client.get("/notes/")
    for _ in range(20):
        client.post("/notes/", {"text": "written"})
        begun = time.perf_counter()
        for number in range(1000):
            with asked() as there:
                client.get("/notes/")
            if there:
                back.append((number, (time.perf_counter() - begun) * 1000))
                break
    print(f"\nback after {median(n for n, _ in back)} pages, {median(ms for _, ms in back):.1f} ms")
