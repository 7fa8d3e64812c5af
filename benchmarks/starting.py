"""A process' start, until it can answer the first request."""

import subprocess
import time
from statistics import median

from benchmarks.rounds import interleaved, ratio

START = "from django.core.wsgi import get_wsgi_application; get_wsgi_application()"


def measure(ours, plain, rounds):
    ways = {
        "ours": lambda at: started(ours, ours.project.env["DJANGO_SETTINGS_MODULE"]),
        "plain": lambda at: started(plain, "starting"),
    }
    for way in ways.values():  # compiles the modules
        way(0)
    return interleaved(ways, rounds, rounds)


def started(side, settings):
    """Return the seconds that a start takes. Modules are compiled first, as in a deployment."""
    env = side.project.env | {"DJANGO_SETTINGS_MODULE": settings, "PYTHONDONTWRITEBYTECODE": ""}
    command = [*side.project.python, "-W", "ignore", "-c", START]
    began = time.perf_counter()
    subprocess.run(command, cwd=side.project.path, env=env, check=True)
    return time.perf_counter() - began


def section(seconds, judged, table, time, goal):
    """The lines of the report."""
    yield "\n## Starting\n"
    yield "From the command to a process that can answer a request. Plain is Django without tenants"
    yield "with the packages that ours starts with (`benchmarks/plain/starting.py`).\n"
    whose = [time(median(seconds[who])) for who in ("ours", "plain")]
    over = judged(ratio(seconds["ours"], seconds["plain"]), goal, "1000")
    yield from table(["ours", "plain", f"ours / plain ({goal})"], [[*whose, over]])
