"""Answering: a page of one query, anonymous and signed in, at one host and at all hosts, of which
any process answers each, or one alone."""

import contextlib
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import fleet
from benchmarks.projects import BenchmarkError
from benchmarks.rounds import interleaved
from tests.projects import Browser

CONNECTIONS = 8
PROCESSES = 2
HOST = "seed.localhost"
WARMING = 5  # seconds, and one for each 200 hosts, in which each process goes to all of its own
APART = "benchmark apart"  # the name of the processes' connections that share no host
SCRIPT = Path(__file__).parent / "hosts.lua"


def measure(sides, cookies, rounds, their_rounds):
    """Requests per second; and the private memory, in MB, of our connections to the database.

    A proxy would send each host to the same process. Without one, each process is asked apart.
    """
    ours, bare = sides.ours, sides.plain.with_settings("bare")
    cookies = cookies | {bare.name: cookies[sides.plain.name]}
    every = fleet.hosts(ours)
    with contextlib.ExitStack() as stack:
        ports = {side.name: stack.enter_context(side.serving(PROCESSES)) for side in (*sides, bare)}
        alone = [stack.enter_context(ours.serving(1, name=APART)) for _ in range(PROCESSES)]

        def asking(name, cookie="", hosts=(HOST,)):
            return lambda at: ask(ports[name], cookie, hosts)

        def asking_apart(at):
            shares = [every[n::PROCESSES] for n in range(PROCESSES)]
            with ThreadPoolExecutor(PROCESSES) as pool:
                asked = [
                    pool.submit(ask, port, "", hosts, of=PROCESSES)
                    for port, hosts in zip(alone, shares, strict=True)
                ]
            return sum(each.result() for each in asked)

        anonymous = {name: asking(name) for name in ports}
        signed_in = {name: asking(name, cookies[name]) for name in ports}
        for name, port in ports.items():
            # Before anything is measured: gunicorn listens before it can answer.
            page = Browser(HOST, port).get("/", Cookie=cookies[name]).text
            if "Anonymous" in page or "milk" not in page:
                raise BenchmarkError(f"{name} answered: {page}")
            anonymous[name](0), signed_in[name](0)
        for port in alone:
            Browser(HOST, port).get("/")
        one_host = private_memory(ours)
        anonymous["all hosts"], anonymous["apart"] = asking("ours", hosts=every), asking_apart
        for _ in range(WARMING + len(every) // 200):
            anonymous["all hosts"](0), anonymous["apart"](0)
        return {
            "anonymous": interleaved(anonymous, rounds, their_rounds),
            "signed in": interleaved(signed_in, rounds, their_rounds),
            "memory": {
                "one host": one_host,
                "all hosts": private_memory(ours),
                "apart": private_memory(ours, APART),
            },
        }


def ask(port, cookie, hosts, of=1):
    """The requests per second that the server at the port, one `of` so many, answers. Raises
    BenchmarkError."""
    options = "-t1", f"-c{CONNECTIONS // of}", "-d1s", "-s", SCRIPT
    command = "wrk", *options, f"http://127.0.0.1:{port}", "--", cookie, *hosts
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    per_second = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    if "Non-2xx" in said or not per_second:
        raise BenchmarkError(said)
    return per_second


def private_memory(side, name="benchmark"):
    """The largest of the server's connections; None where the system doesn't tell."""
    connected = side.query(
        "SELECT pid FROM pg_stat_activity"
        " WHERE application_name = %s AND datname = current_database()",
        name,
    )
    files = [Path(f"/proc/{pid}/smaps_rollup") for (pid,) in connected]
    texts = [file.read_text() for file in files if file.exists()]
    sizes = [sum(map(int, re.findall(r"^Private_\w+:\s+(\d+)", text, re.M))) for text in texts]
    return max(sizes) / 1024 if sizes else None
