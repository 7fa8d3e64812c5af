"""The command: `uv run --group benchmarks python -m benchmarks`, or `… --short`, or `… --many`."""

import argparse
import datetime
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import (
    background,
    births,
    fleet,
    machine,
    many,
    migrating,
    projects,
    report,
    requests,
    starting,
)
from tests.projects import UV

HERE = Path(__file__).parent
NEEDED = {"uv": (UV, "pip install uv"), "wrk": (shutil.which("wrk"), "apt install wrk")}
NEEDED["redis-server"] = shutil.which("redis-server"), "apt install redis-server"


class Mode(NamedTuple):
    sizes: tuple  # of the fleet
    large_sizes: tuple  # of that of the large application, whose tenants are large as well
    rounds: int
    short_rounds: int  # of what takes a second at most
    their_rounds: dict  # of migrating; the standard executor takes its time
    in_a_row: int  # tenants that one process makes
    minutes: int  # after which something hangs


FULL = Mode((10, 100, 1000), (10, 100), 5, 25, {10: 3, 100: 3, 1000: 1}, 3000, minutes=60)
SHORT = Mode((50,), (10,), 3, 3, {50: 1}, 200, minutes=10)

PUBLISHED_MANY, MANY_MINUTES = 10_000, 90


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a small fleet; only prints")
    parser.add_argument(
        "--many",
        type=int,
        nargs="?",
        const=PUBLISHED_MANY,
        metavar="N",
        help=f"what grows, at {PUBLISHED_MANY} tenants; another number only prints",
    )
    parser.add_argument("--json", type=Path, help="write what was measured to this file as well")
    options = parser.parse_args()
    for name, (found, how) in NEEDED.items():
        if not found:
            sys.exit(f"{name} is not installed: {how}")
    if not (options.short or options.many):
        from benchmarks import picture  # its matplotlib is of the group `benchmarks` only

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Terminated."))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("That took too long: something hangs."))
    mode = SHORT if options.short else FULL
    signal.alarm((MANY_MINUTES if options.many else mode.minutes) * 60)

    results = measure_many(options.many) if options.many else measure(mode)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    if options.many == PUBLISHED_MANY:
        (HERE / f"RESULTS-{PUBLISHED_MANY}.md").write_text(many.page(results))
    elif options.many:
        print(many.tables(results))
    elif options.short:
        print(report.tables(results))
    else:
        (HERE / "RESULTS.md").write_text(report.page(results))
        picture.draw(results, HERE / "results.svg")


def measure(mode):
    """What was found, by number of tenants, and where."""
    step("Bake the project and its twins")
    with projects.baked() as sides:
        ours, theirs, _ = sides
        cookies = {side.name: projects.cookie(side) for side in sides}
        found = {}
        for size in mode.sizes:
            step(f"Grow to {size} tenants")
            fleet.grow([ours, theirs], size)
            their_rounds = mode.their_rounds[size]
            found[str(size)] = here = {}
            step("  making a tenant")
            here["births"] = births.measure(ours, theirs, mode.short_rounds, mode.rounds)
            step("  nothing to migrate")
            here["nothing"] = migrating.nothing_to_do(ours, theirs, mode.rounds, their_rounds)
            step("  a field to add")
            here |= migrating.add_field(ours, theirs, mode.rounds, their_rounds)
            step("  requests")
            here["requests"] = requests.measure(sides, cookies, mode.short_rounds, mode.rounds)
        step("Make tenants one after the other")
        in_a_row = births.in_a_row(ours, mode.in_a_row)
        step("Put sixty models more into the project")
        large, large_births = projects.large(ours), {}
        for size in mode.large_sizes:
            step(f"Grow to {size} tenants")
            fleet.grow([large], size)
            step("  making a tenant")
            large_births[str(size)] = births.measure_alone(large, mode.short_rounds)
        step("Run tasks")
        tasks = background.measure(sides, mode.short_rounds, mode.rounds)
        step("Start processes")
        start = starting.measure(ours, sides.plain, mode.short_rounds)
        versions = ours.do("versions")
        step("Clean up")
    step("Done")
    return {
        "date": datetime.date.today().isoformat(),
        "machine": machine.described(),
        "versions": versions,
        "rounds": mode.rounds,
        "short_rounds": mode.short_rounds,
        "their_rounds": mode.their_rounds,
        "fleets": found,
        "in_a_row": in_a_row,
        "large_births": large_births,
        "tasks": tasks,
        "start": start,
    }


def measure_many(size):
    found = many.measure(size, step)
    step("Done")
    about = {"date": datetime.date.today().isoformat(), "machine": machine.described()}
    return {**about, "minutes": (time.monotonic() - STARTED) / 60, **found}


def step(label):
    print(f"{time.monotonic() - STARTED:6.0f} s  {label}", flush=True)


STARTED = time.monotonic()

if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
    except projects.BenchmarkError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{error.stderr}")
