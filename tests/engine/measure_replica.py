"""What reading from a replica costs: `bin/test-engine engine/measure_replica.py -s`.

CPU time, of this process and of PostgreSQL's for its connections, because a replica on the same
machine takes the cores of the primary. Rounds of the two ways alternate.
"""

import os
import time
from pathlib import Path
from statistics import median

from django.db import connections
from tenancy.database import replica
from tenancy.requests.replica import COOKIE
from tenancy.testing.client import TenantClient

from engine.test_replica import ALIAS, asked, first, server, streaming  # noqa: F401 (fixtures)

ROUNDS, REQUESTS = 10, 50
TICK = 1000 / os.sysconf("SC_CLK_TCK")  # milliseconds


def cpu() -> tuple[float, float]:
    """Return the milliseconds of this process, and of its connections' servers."""
    pids = [connections[alias].connection.info.backend_pid for alias in ("default", ALIAS)]
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return time.process_time() * 1000, sum(int(s[11]) + int(s[12]) for s in stats) * TICK


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
        ours, servers = (median(column) for column in zip(*rounds, strict=True))
        print(f"{name}, replica {with_replica}: {ours:.3f} ms here, {servers:.3f} ms in PostgreSQL")


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
