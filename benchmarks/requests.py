"""Answering: a page of one query, anonymous and signed in, at one host and at all hosts."""

import contextlib
import re
import subprocess
from pathlib import Path

from benchmarks import fleet
from benchmarks.projects import BenchmarkError
from benchmarks.rounds import interleaved
from tests.projects import Browser

CONNECTIONS = "8"
HOST = "seed.localhost"
WARMING = 5  # seconds, in which each process goes to all hosts
SCRIPT = Path(__file__).parent / "hosts.lua"


def measure(sides, cookies, rounds, their_rounds):
    """Requests per second; and the private memory, in MB, of our connections to the database."""
    every = fleet.hosts(sides.ours)
    with contextlib.ExitStack() as stack:
        ports = {side.name: stack.enter_context(side.serving()) for side in sides}

        def asking(name, cookie="", hosts=(HOST,)):
            return lambda at: ask(ports[name], cookie, hosts)

        anonymous = {name: asking(name) for name in ports}
        signed_in = {name: asking(name, cookies[name]) for name in ports}
        for name, port in ports.items():
            # Before anything is measured: gunicorn listens before it can answer.
            page = Browser(HOST, port).get("/", Cookie=cookies[name]).text
            if "Anonymous" in page or "milk" not in page:
                raise BenchmarkError(f"{name} answered: {page}")
            anonymous[name](0), signed_in[name](0)
        one_host = private_memory(sides.ours)
        anonymous["all hosts"] = asking("ours", hosts=every)
        for _ in range(WARMING):
            anonymous["all hosts"](0)
        return {
            "anonymous": interleaved(anonymous, rounds, their_rounds),
            "signed in": interleaved(signed_in, rounds, their_rounds),
            "memory": {"one host": one_host, "all hosts": private_memory(sides.ours)},
        }


def ask(port, cookie, hosts):
    """The requests per second that the server at the port answers. Raises BenchmarkError."""
    options = "-t1", f"-c{CONNECTIONS}", "-d1s", "-s", SCRIPT
    command = "wrk", *options, f"http://127.0.0.1:{port}", "--", cookie, *hosts
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    per_second = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    if "Non-2xx" in said or not per_second:
        raise BenchmarkError(said)
    return per_second


def private_memory(side):
    """The largest of the server's connections; None where the system doesn't tell."""
    connected = side.query(
        "SELECT pid FROM pg_stat_activity"
        " WHERE application_name = 'benchmark' AND datname = current_database()"
    )
    files = [Path(f"/proc/{pid}/smaps_rollup") for (pid,) in connected]
    texts = [file.read_text() for file in files if file.exists()]
    sizes = [sum(map(int, re.findall(r"^Private_\w+:\s+(\d+)", text, re.M))) for text in texts]
    return max(sizes) / 1024 if sizes else None
