"""Running tasks: how many of one query a worker with two processes finishes in a second."""

import contextlib
import dataclasses
import socket
import subprocess
from statistics import median

from benchmarks.projects import seed
from benchmarks.rounds import interleaved, ratio
from tests.projects import answers, wait_for

COUNTS = {"ours": 400, "theirs": 100, "plain": 400}
OPTIONS = "--concurrency", "2", "--loglevel", "INFO", "--queues", "idle"


def measure(sides, rounds, their_rounds):
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(redis())
        ways = {}
        for number, side in enumerate(sides):
            url = f"redis://127.0.0.1:{port}/{number}"
            env = side.project.env | {"CELERY_BROKER_URL": url}
            there = dataclasses.replace(side, project=dataclasses.replace(side.project, env=env))
            stack.enter_context(celery(there.project))
            worker = stack.enter_context(there.worker())
            arguments = {"count": COUNTS[side.name], "schema": seed(side)}
            ways[side.name] = lambda at, worker=worker, arguments=arguments: worker.do(
                "run_tasks", **arguments
            )
        for way in ways.values():  # opens the connections
            way(0)
        return interleaved(ways, rounds, their_rounds)


@contextlib.contextmanager
def redis():
    """A Redis that keeps nothing; yields its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: answers(port))
            yield port
        finally:
            process.terminate()


@contextlib.contextmanager
def celery(project):
    log = project.path / "celery.log"
    command = [*project.python, "-m", "celery", "-A", "background", "worker", *OPTIONS]
    with (
        log.open("w") as said,
        subprocess.Popen(
            command, cwd=project.path, env=project.env, stdout=said, stderr=said
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


def section(rates, judged, table, goals):
    """The lines of the report."""
    yield "\n## Running tasks\n"
    yield "Tasks per second, each with one query: a worker with 2 processes, Redis. Theirs is"
    yield "tenant-schemas-celery as it comes, plain is Celery without tenants, with our settings.\n"
    whose = [f"{median(rates[who]):.0f}" for who in ("ours", "theirs", "plain")]
    plain, theirs = goals
    ratios = [
        judged(ratio(rates["ours"], rates["plain"]), plain, "1000"),
        judged(ratio(rates["ours"], rates["theirs"]), theirs, "1000"),
    ]
    heads = ["ours", "theirs", "plain", f"ours / plain ({plain})", f"ours / theirs ({theirs})"]
    yield from table(heads, [[*whose, *ratios]])
