"""What grows with the number of tenants, at ten thousand: `python -m benchmarks --many`.

It takes some ten minutes, most of which go into making the tenants and into changing all of them.
"""

from statistics import median

from benchmarks import births, fleet, migrating, projects, requests
from benchmarks.report import Goal, judged, table, time
from benchmarks.rounds import interleaved, ratio

FEW = 10
IN_A_ROW = 1000  # births, one after the other
HUNDRED = 100
ROUNDS = 3
BIRTHS = 25
JOBS = 2
LISTS = {  # with the seconds that each may take
    "nothing to migrate": Goal(most=1.5, at=("10000",)),
    "`tenants`": Goal(most=2, at=("10000",)),
    "`tenants --sizes`": None,
    "`tenant_doctor`": Goal(most=5, at=("10000",)),
    "the admin's list of tenants": Goal(most=1, at=("10000",)),
    "a search there": Goal(most=1, at=("10000",)),
}
FIELD = Goal(most=1.5, at=("10000",))
ROW = Goal(most=1.3, at=("10000",))
MEMORY = Goal(most=80, at=("10000",))


def measure(size, step):
    """Return the figures with FEW tenants and with `size` of them, by number of tenants."""
    step("Bake the project and its twins")
    with projects.baked() as sides:
        ours = sides.ours
        cookies = {side.name: projects.cookie(side) for side in sides}
        found = {}
        for number in (FEW, size):
            step(f"Grow to {number} tenants")
            fleet.grow([ours], number)
            found[str(number)] = here = {}
            step("  lists")
            here["lists"] = lists(ours)
            step("  a field to add")
            here |= migrating.add_field(ours, None, ROUNDS, 0)
            here["jobs"] = migrating.add_field_by_jobs(ours, JOBS, ROUNDS)
            step("  making a tenant")
            here["births"] = births.measure_alone(ours, BIRTHS)
        step("  tenants in a row")
        row = births.in_a_row(ours, min(IN_A_ROW, size))
        step("  requests")
        answered = requests.measure(sides, cookies, ROUNDS, ROUNDS)
        versions = ours.do("versions")
        step("Clean up")
    return {"versions": versions, "found": found, "row": row, "requests": answered}


def lists(ours):
    """The seconds that commands and pages take which look at all tenants."""
    with ours.worker() as worker:
        worker.do("warm")
        ways = {
            "nothing to migrate": lambda at: worker.do("migrate"),
            "`tenants`": lambda at: worker.do("call", command=["tenants"]),
            "`tenants --sizes`": lambda at: worker.do("call", command=["tenants", "--sizes"]),
            "`tenant_doctor`": lambda at: worker.do("call", command=["tenant_doctor"]),
            "the admin's list of tenants": lambda at: worker.do("admin_page", query=""),
            "a search there": lambda at: worker.do("admin_page", query="q=t7"),
        }
        for way in ways.values():
            way(0)  # imports, and the server's cache
        return interleaved(ways, ROUNDS, ROUNDS)


def page(results):
    """The whole of RESULTS-10000.md."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return f"""# At ten thousand tenants

Made by `uv run --group benchmarks python -m benchmarks --many` on {results["date"]}, on
{results["machine"]}, with {versions},
in {results["minutes"]:.0f} minutes. The project is the template's as it comes. Times are medians of
{ROUNDS} rounds, of a birth {BIRTHS}, and don't have the start of the process. `RESULTS.md` has more
figures, at fewer tenants.

{tables(results)}"""


def tables(results):
    found = results["found"]
    sizes = [*found]
    lines = ["## What looks at all tenants\n"]
    rows = []
    for name, goal in LISTS.items():
        seconds = {size: median(here["lists"][name]) for size, here in found.items()}
        rows.append([f"{name} ({goal} s)" if goal else name, *judged_times(seconds, goal)])
    heads = [f"{size} tenants" for size in sizes]
    lines += table(["", *heads], rows)

    lines += ["\n## Migrating all tenants\n"]
    lines += ["The limit is psql with the same statements, a transaction for each tenant.\n"]
    rows = []
    for size, here in found.items():
        field = here["field"]
        times = [time(median(field[who])) for who in ("ours", "limit")]
        over = judged(ratio(field["ours"], field["limit"]), FIELD, size)
        more = (here["jobs"], here["shared"]["ours"])
        rows.append([size, *times, over, *(time(median(seconds)) for seconds in more)])
    heads = ["tenants", "a field, ours", "limit", f"ours / limit ({FIELD})"]
    heads += [f"with `--jobs {JOBS}`", "before that, `--shared` with the blueprint"]
    lines += table(heads, rows)

    lines += ["\n## Making a tenant\n", "The limit is the blueprint's statements alone.\n"]
    rows = []
    for size, here in found.items():
        made = here["births"]
        times = [time(median(made[who])) for who in ("ours", "limit")]
        rows.append([size, *times, f"{ratio(made['ours'], made['limit']):.2f}"])
    lines += table(["tenants", "ours", "limit", "ours / limit"], rows)
    row, size = results["row"], sizes[-1]
    first, last = median(row[:HUNDRED]), median(row[-HUNDRED:])
    lines += [f"\n{len(row)} more, one after the other in one process:\n"]
    heads = [f"the first {HUNDRED}", f"the last {HUNDRED}", f"last / first ({ROW})"]
    lines += table(heads, [[time(first), time(last), judged(last / first, ROW, size)]])

    lines += ["\n## Answering requests\n", "Anonymous, per second; and the largest private memory"]
    lines += ["of a connection to the database after it.\n"]
    measured, memory = results["requests"]["anonymous"], results["requests"]["memory"]
    named = {"one host": "ours"}  # what `requests` calls it
    rows = []
    for name, mb in memory.items():
        goal = MEMORY if name != "one host" else None
        held = f"{mb:.1f} MB{goal.missed(mb, size) if goal else ''}" if mb else "—"
        rows.append([name, f"{median(measured[named.get(name, name)]):.0f}", held])
    lines += table(["", "requests", f"memory ({MEMORY} MB)"], rows)
    return "\n".join([*lines, ""])


def judged_times(seconds, goal):
    return [
        time(value) + (goal.missed(value, size) if goal else "") for size, value in seconds.items()
    ]
