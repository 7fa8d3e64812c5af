"""What `migrate_schemas` says about the tenants, on the way and at the end."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from threading import RLock

from django.core.management import CommandError
from django_tenants.migration_executors.base import run_migrations
from django_tenants.signals import schema_migrate_message

MAX_NAMES = 10
CLEAR = "\r\x1b[K"  # empties the line of a terminal


class Outcome(StrEnum):
    """What became of a tenant, in the words and the order of the summary."""

    MIGRATED = "migrated"
    UP_TO_DATE = "up to date"
    WAITING = "waiting behind a canary"  # with --canary-only
    DRIFTED = "drifted in the tables concerned (migrated on their own)"
    FAILED = "failed"
    UNTOUCHED = "not touched"  # behind a canary that failed


class Report:
    """Keeps each tenant's outcome. Shows a bar in a terminal, and one line a tenant elsewhere."""

    def __init__(self, stdout, verbosity: int):
        self.stdout = stdout
        self.silent = verbosity < 1
        self.bar = not self.silent and stdout.isatty()
        self.schemas: list[str] = []  # all that the run is about
        self.outcomes: dict[str, Outcome] = {}
        self.reasons: dict[str, str] = {}  # why tenants failed
        self.drifted: list[str] = []
        self.stopped: str | None = None  # what ended the run early
        self.lock = RLock()  # several threads tell of their tenants

    def left(self, schemas: Iterable[str]) -> list[str]:
        """Return the schemas that have no outcome yet."""
        return [schema for schema in schemas if schema not in self.outcomes]

    def warn(self, lines: Iterable[str]) -> None:
        if not self.silent:
            self.stdout.writelines(f"{line}\n" for line in lines)

    def has_migrated(self, schema: str, message: str) -> None:
        with self.lock:
            self.outcomes[schema] = Outcome.MIGRATED
            self.tell(schema, message, counted=True)

    def has_failed(self, schema: str, reason: str) -> None:
        with self.lock:
            self.outcomes[schema] = Outcome.FAILED
            self.reasons[schema] = reason
            self.tell(schema, f"failed: {reason}", counted=True)

    def tell(self, schema: str, message: str, *, counted: bool = False) -> None:
        """Send a line about a tenant as `schema_migrate_message`, and show it or the bar."""
        with self.lock:
            self.show(schema, message, counted)

    def show(self, schema: str, message: str, counted: bool) -> None:
        done, total = len(self.outcomes), len(self.schemas)
        progress = f"{done}/{total} ({100 * done // total}%) " if counted else ""
        line = f"[{progress}fleet:{schema}] {message}"
        schema_migrate_message.send(run_migrations, message=line)
        if counted and self.bar:
            filled = "#" * (30 * done // total)
            self.stdout.write(f"{CLEAR}[{filled:30}] {done}/{total} {schema}")
            self.stdout.flush()
        elif not self.silent:
            self.stdout.write(f"{CLEAR if self.bar else ''}{line}\n")

    def finish(self) -> None:
        """Write the summary. Raises CommandError if a tenant failed or was not reached."""
        counts = Counter(self.outcomes.values())
        counts[Outcome.DRIFTED] = len(self.drifted)
        always = Outcome.MIGRATED, Outcome.UP_TO_DATE, Outcome.FAILED
        shown = [each for each in Outcome if counts[each] or each in always]
        if self.bar and self.outcomes:
            self.stdout.write(CLEAR)
        if self.schemas and not self.silent:
            summary = ", ".join(f"{counts[each]} {each}" for each in shown)
            self.stdout.write(f"Tenants: {summary}.\n")
            if self.drifted:
                self.stdout.write(f"Drifted: {names(self.drifted)}.\n")
        lines = [f"{schema}: {reason}" for schema, reason in self.reasons.items()]
        if untouched := [s for s, each in self.outcomes.items() if each is Outcome.UNTOUCHED]:
            lines.append(f"not touched, because their canary failed: {names(untouched)}")
        if self.stopped:
            lines.append(f"{self.stopped}; not reached: {names(self.left(self.schemas))}")
        if lines:
            raise CommandError(
                f"{len(self.reasons)} of {len(self.schemas)} tenants failed; run the command again"
                " to do what is left.\n" + "\n".join(f"  {line}" for line in lines)
            )


def names(schemas: Iterable[str]) -> str:
    """Return the first few names, and how many more there are."""
    schemas = list(schemas)
    more = len(schemas) - MAX_NAMES
    return ", ".join(schemas[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
