"""The tables: what was measured, with ratios beside the goals."""

from statistics import median
from typing import NamedTuple

from benchmarks import background, starting
from benchmarks.rounds import ratio

COMMAND = "uv run --group benchmarks python -m benchmarks"
PUBLISHED = ("10", "100", "1000")  # tenants
LARGEST = ("1000",)


class Goal(NamedTuple):
    least: float | None = None
    most: float | None = None
    at: tuple = PUBLISHED

    def __str__(self):
        return f"goal: ≥ {self.least:g}" if self.least else f"goal: ≤ {self.most:g}"

    def missed(self, value, size):
        """What marks a value that misses the goal."""
        misses = value < self.least if self.least else value > self.most
        return " **missed**" if misses and size in self.at else ""


FASTER = {
    "births": Goal(least=12),
    "at once": Goal(least=10),
    "nothing": Goal(least=100, at=LARGEST),
    "field": Goal(least=40, at=LARGEST),
}
OF_THE_LIMIT = {
    "large": Goal(most=1.15),
    "births": Goal(most=1.2),
    "field": Goal(most=2, at=LARGEST),
}
SPARE = Goal(most=0.03)
IN_A_ROW = Goal(most=1.3, at=("",))
WAIT = Goal(most=0.1)
SIGNING_UP = Goal(most=2)
NOTHING = Goal(most=0.5, at=LARGEST)
TASKS = Goal(least=0.97), Goal(least=4)
START = Goal(most=1.3)
APART = Goal(least=0.9, at=LARGEST)
SHARE = {"anonymous": Goal(least=0.97), "signed in": Goal(least=0.95)}


def page(results):
    """The whole of RESULTS.md."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    rounds, more = results["rounds"], results["short_rounds"]
    return f"""# How fast

![The figures as curves](results.svg)

Made by `{COMMAND}` on {results["date"]}, on
{results["machine"]}, with {versions}.

**Ours** is a project from the template as it comes. **Theirs** is one with django-tenants and
django-tenant-users set up as their documentation says (`benchmarks/twin`), with the same apps, on
the same PostgreSQL server. The **limit** is what would be left if Python cost nothing. They take
turns, in {rounds} rounds; a tenant, a page and tasks in {more}, but theirs in {rounds}. Times are
medians, and so are ratios: of those within a round, where both have as many rounds. What four
processes make and the longest wait are of one run each. Times differ from machine to machine:
ratios are what to look at. The figures at ten thousand tenants are [here](RESULTS-10000.md).

{tables(results)}"""


def tables(results):
    fleets = results["fleets"]
    their_rounds = results["their_rounds"]
    running = background.section(results["tasks"], judged, table, TASKS)
    parts = (
        making(results["large_births"], results["in_a_row"], fleets),
        migrating(fleets, their_rounds),
        requests(fleets),
        running,
        starting.section(results["start"], judged, table, time, START),
    )
    return "\n".join([line for part in parts for line in part] + [""])


def making(large, row, fleets):
    yield "## Making a tenant\n"
    yield "Rows, schema, tables and the owner's membership, in a process that is warm. The limit is"
    yield "the schema alone: the statements of our blueprint, sent in one transaction.\n"
    yield "In an application with 60 models more (`benchmarks/large`), as large as a real one:\n"
    goal, rows = OF_THE_LIMIT["large"], []
    for size, seconds in large.items():
        over = judged(ratio(seconds["ours"], seconds["limit"]), goal, size)
        spare = median(seconds["spare"])
        both = (time(median(seconds[who])) for who in ("ours", "limit"))
        rows.append([size, *both, over, time(spare) + SPARE.missed(spare, size)])
    heads = ["tenants", "ours", "limit", f"ours / limit ({goal})"]
    yield from table([*heads, f"ours, with a spare schema ({SPARE} s)"], rows)
    yield "\nIn the project as it comes:\n"
    births = {size: found["births"] for size, found in fleets.items()}
    yield from compared("births", {size: birth["seconds"] for size, birth in births.items()})
    yield "\nThere, with a spare schema that was ready (`SPARE_SCHEMAS`):\n"
    rows = []
    for size, birth in births.items():
        spare, theirs = (birth["seconds"][who] for who in ("spare", "theirs"))
        rows.append([size, time(median(spare)), judged(ratio(theirs, spare), None, size)])
    yield from table(["tenants", "ours, with a spare schema", "theirs / ours"], rows)

    part = min(100, len(row) // 2)
    first, last = row[:part], row[-part:]
    growth = judged(median(last) / median(first), IN_A_ROW, "")
    yield "\nOne after the other, by one process:\n"
    heads = ["tenants", f"the first {part}", f"the last {part}", f"last / first ({IN_A_ROW})"]
    yield from table(heads, [[str(len(row)), time(median(first)), time(median(last)), growth]])

    yield "\nTenants per second, made by four processes at once:\n"
    faster, of_the_limit = FASTER["at once"], OF_THE_LIMIT["births"]
    rows = []
    for size, birth in births.items():
        ours, theirs, limit = (birth["at_once"][who] for who in ("ours", "theirs", "limit"))
        ratios = [judged(ours / theirs, faster, size), judged(limit / ours, of_the_limit, size)]
        rows.append([size, f"{ours:.1f}", f"{theirs:.1f}", f"{limit:.1f}", *ratios])
    heads = ["tenants", "ours", "theirs", "limit"]
    yield from table([*heads, f"ours / theirs ({faster})", f"limit / ours ({of_the_limit})"], rows)

    yield "\nThe longest that a sign-in waits while tenants are made one after the other:\n"
    waits = {size: birth["wait"] for size, birth in births.items()}
    yield from table(
        ["tenants", f"ours ({WAIT} s)", "theirs"],
        [
            [size, time(wait["ours"]) + WAIT.missed(wait["ours"], size), time(wait["theirs"])]
            for size, wait in waits.items()
        ],
    )

    yield "\nFrom “Sign up” to the first page of one's own workspace: all requests together, in the"
    yield "server's time, with the code by e-mail, the workspace and the hand-over to its host.\n"
    took = {size: median(birth["signing_up"]) for size, birth in births.items()}
    yield from table(
        ["tenants", f"ours ({SIGNING_UP} s)"],
        [
            [size, time(seconds) + SIGNING_UP.missed(seconds, size)]
            for size, seconds in took.items()
        ],
    )


def migrating(fleets, their_rounds):
    rounds = ", ".join(f"{n} at {size} tenants" for size, n in their_rounds.items())
    yield "\n## Migrating all tenants\n"
    yield "`migrate_schemas --tenant`, in a process that has started. Theirs is the standard"
    yield f"executor, which takes long and had fewer rounds: {rounds}.\n"
    yield "Nothing to do. The limit is one query for the migrations of all tenants.\n"
    yield from compared("nothing", {n: found["nothing"] for n, found in fleets.items()}, NOTHING)
    yield "\nOne AddField. The limit is psql with the same statements, a transaction per tenant.\n"
    yield from compared("field", {n: found["field"] for n, found in fleets.items()})
    yield "\nBefore that, once per deployment with new migrations: `migrate_schemas --shared`, with"
    yield "which ours also makes the blueprint for new tenants anew.\n"
    rows = []
    for size, found in fleets.items():
        ours, theirs = (median(found["shared"][who]) for who in ("ours", "theirs"))
        rows.append([size, time(ours), time(theirs)])
    yield from table(["tenants", "ours, with the blueprint", "theirs, which has none"], rows)


def requests(fleets):
    yield "\n## Answering requests\n"
    yield "Requests per second of a page with one query: gunicorn with 2 sync workers, wrk with 8"
    yield "connections. Plain is Django without tenants, with persistent connections"
    yield "and the same libraries' middleware (`benchmarks/plain`); bare is Django as"
    yield "`startproject` makes it, with persistent connections.\n"
    for page_of, goal in SHARE.items():
        rows = []
        for size, found in fleets.items():
            measured = found["requests"][page_of]
            share = judged(ratio(measured["ours"], measured["plain"]), goal, size)
            against_bare = f"{ratio(measured['ours'], measured['bare']):.2f}"
            whose = [f"{median(measured[who]):.0f}" for who in ("ours", "theirs", "plain", "bare")]
            rows.append([size, *whose, share, against_bare])
        heads = ["ours", "theirs", "plain", "bare", f"ours / plain ({goal})", "ours / bare"]
        yield from table([f"tenants, {page_of}", *heads], rows)
        yield ""
    yield "Ours, anonymous: one host; all hosts in turn, when each process has been to all of them;"
    yield "and all hosts, each with one of the processes alone (`WEB_AFFINITY`).\n"
    rows, sizes = [], []
    for size, found in fleets.items():
        measured, memory = found["requests"]["anonymous"], found["requests"]["memory"]
        whose = [f"{median(measured[which]):.0f}" for which in ("ours", "all hosts", "apart")]
        shared = f"{ratio(measured['all hosts'], measured['ours']):.2f}"
        apart = judged(ratio(measured["apart"], measured["ours"]), APART, size)
        rows.append([size, *whose, shared, apart])
        sizes.append([size, *(f"{mb:.1f} MB" if mb else "—" for mb in memory.values())])
    heads = ["tenants", "one host", "all hosts", "all, each with one process"]
    yield from table([*heads, "all / one", f"each with one process / one ({APART})"], rows)
    yield "\nThe largest private memory of a connection to the database after that:\n"
    yield from table(heads, sizes)


def compared(what, measured, goal=None):
    """A table of seconds, ours, theirs and the limit, with the two ratios."""
    faster, of_the_limit = FASTER[what], OF_THE_LIMIT.get(what)
    rows = []
    for size, seconds in measured.items():
        ours, theirs, limit = (seconds[who] for who in ("ours", "theirs", "limit"))
        missed = goal.missed(median(ours), size) if goal else ""
        times = [time(median(ours)) + missed, time(median(theirs)), time(median(limit))]
        over = judged(ratio(ours, limit), of_the_limit, size)
        rows.append([size, *times, judged(ratio(theirs, ours), faster, size), over])
    first = ["tenants", f"ours ({goal} s)" if goal else "ours", "theirs", "limit"]
    last = f"ours / limit ({of_the_limit})" if of_the_limit else "ours / limit"
    return table([*first, f"theirs / ours ({faster})", last], rows)


def judged(value, goal, size):
    text = f"{value:.0f}" if value >= 20 else f"{value:.2f}"
    return text + (goal.missed(value, size) if goal else "")


def table(heads, rows):
    yield from (f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def time(seconds):
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
