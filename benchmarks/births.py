"""Making a tenant: how long one takes, also in a large application, with a spare schema and after
many others, how many four processes make, how long a person who signs in meanwhile waits, and how
long signing up takes in all."""

import contextlib
import dataclasses
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks import fleet
from benchmarks.rounds import interleaved

PROCESSES = 4
# What ours sets for a replay, too.
SETTINGS = "SET LOCAL check_function_bodies = off; SET LOCAL max_parallel_maintenance_workers = 0;"
SIGN_IN = "UPDATE users_user SET last_login = now()"


def measure(ours, theirs, rounds, their_rounds):
    replayed = replaying(ours)
    with ways_of(ours, rounds) as ways, theirs.worker() as other:
        ways["theirs"] = lambda slug: other.do("provision", slug=slug)
        seconds = in_turn(ways, rounds, their_rounds)
        waits = {
            side.name: longest_wait(side, ways[side.name], their_rounds) for side in (ours, theirs)
        }
    at_once = {
        "ours": made_at_once(ours, rounds),
        "limit": replayed_at_once(ours, replayed, rounds),
        "theirs": made_at_once(theirs, their_rounds),
    }
    signing_up = signed_up(ours, their_rounds)
    for side in (ours, theirs):
        fleet.remove(side, "birth")
    return {"seconds": seconds, "wait": waits, "at_once": at_once, "signing_up": signing_up}


def measure_alone(large, rounds):
    """The seconds that a tenant of an application with sixty models takes."""
    with ways_of(large, rounds) as ways:
        seconds = in_turn(ways, rounds)
    fleet.remove(large, "birth")
    fleet.tidy(large)
    return seconds


@contextlib.contextmanager
def ways_of(side, rounds):
    """The ways of ours to make a tenant, each of which may be gone in so many rounds."""
    replayed, ready = replaying(side), with_spares(side, rounds + 1)
    ready.project.manage("make_spare_schemas")
    with side.worker() as mine, ready.worker() as spared, side.connect() as raw:
        yield {
            "ours": lambda slug: mine.do("provision", slug=slug),
            "spare": lambda slug: spared.do("provision", slug=slug),
            "limit": lambda slug: replayed(raw, f"{slug}_raw"),
        }


def with_spares(side, number):
    """The project with so many spare schemas."""
    env = side.project.env | {"SPARE_SCHEMAS": str(number)}
    return dataclasses.replace(side, project=dataclasses.replace(side.project, env=env))


def in_a_row(ours, number):
    """The seconds that each of so many tenants takes, made one after the other by one process."""
    with ours.worker() as worker:
        worker.do("provision", slug="birthwarm")
        seconds = [worker.do("provision", slug=f"birthrow{at}") for at in range(number)]
    fleet.remove(ours, "birth")
    fleet.tidy(ours)
    return seconds


def replaying(side):
    """What sends the blueprint's statements raw, in one transaction, and returns the seconds."""
    [(template, statements)] = side.query("SELECT template_name, statements FROM tenancy_blueprint")
    text = "\n".join([f'CREATE SCHEMA "{template}";', SETTINGS, *json.loads(statements)])

    def replayed(connection, schema):
        started = time.perf_counter()
        fleet.replay(connection, text, template, schema)
        return time.perf_counter() - started

    return replayed


def in_turn(ways, rounds, their_rounds=0):
    """The seconds that each way took, in a process that is warm."""
    for name, way in ways.items():
        way(f"birthwarm{name}")
    numbered = {n: lambda at, n=n: ways[n](f"birth{n}{at}") for n in ways}
    return interleaved(numbered, rounds, their_rounds)


def longest_wait(side, make, rounds):
    """The longest that a sign-in took while tenants were being made, one after the other."""
    with signing_in(side) as waits:
        for at in range(rounds):
            make(f"birthwait{at}")
    return max(waits)


def signed_up(ours, rounds):
    """The server's seconds from “Sign up” to the first page of one's own workspace."""
    with ours.worker() as worker:
        found = [
            worker.do("sign_up", slug=f"birthby{number}", number=number)
            for number in range(rounds + 1)
        ]
    return found[1:]  # the first one warms the process


@contextlib.contextmanager
def signing_in(side):
    """Somebody signs in again and again; yields the list of how long it took each time."""
    waits, over = [], threading.Event()

    def sign_in():
        with side.connect() as connection, connection.cursor() as cursor:
            while not over.wait(0.005):
                started = time.perf_counter()
                cursor.execute(SIGN_IN)
                waits.append(time.perf_counter() - started)

    with ThreadPoolExecutor(1) as pool:
        signing = pool.submit(sign_in)
        try:
            yield waits
        finally:
            over.set()
            signing.result()


def made_at_once(side, rounds):
    """The tenants that several processes make in a second."""
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(side.worker()) for _ in range(PROCESSES)]
        for at, worker in enumerate(workers):
            worker.send("provision", slug=f"birthfirst{at}")
        for worker in workers:
            worker.receive()
        started = time.perf_counter()
        for at, worker in enumerate(workers):
            for number in range(rounds):
                worker.send("provision", slug=f"birth{at}x{number}")
        for worker in workers:
            for _ in range(rounds):
                worker.receive()
        return PROCESSES * rounds / (time.perf_counter() - started)


def replayed_at_once(ours, replayed, rounds):
    def replay(at):
        with ours.connect() as connection:
            for number in range(rounds):
                replayed(connection, f"birth{at}x{number}_raw")

    with ThreadPoolExecutor(PROCESSES) as pool:
        started = time.perf_counter()
        list(pool.map(replay, range(PROCESSES)))
        return PROCESSES * rounds / (time.perf_counter() - started)
