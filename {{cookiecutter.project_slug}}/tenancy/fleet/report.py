"""What is said about the tenants on the way, and in the end."""

from collections.abc import Iterable

from django.core.management import CommandError
from django_tenants.migration_executors.base import run_migrations
from django_tenants.signals import schema_migrate_message

MOST_NAMED = 10


class Report:
    """Counts what became of each tenant; a bar in a terminal, a line a tenant elsewhere."""

    def __init__(self, stdout, verbosity: int, total: int):
        self.stdout = stdout
        self.silent = verbosity < 1
        self.bar = not self.silent and stdout.isatty()
        self.total = total
        self.migrated: list[str] = []
        self.up_to_date: list[str] = []
        self.drifted: list[str] = []
        self.waiting: list[str] = []  # behind a canary, with --canary-only
        self.failed: dict[str, str] = {}
        self.untouched: list[str] = []  # behind a canary that failed
        self.stopped: str | None = None

    @property
    def done(self) -> int:
        everyone = self.migrated, self.up_to_date, self.waiting, self.failed, self.untouched
        return sum(map(len, everyone))

    def say(self, schema: str, message: str) -> None:
        """A line about one tenant, when it has been counted."""
        percent = 100 * self.done // max(self.total, 1)
        line = f"[{self.done}/{self.total} ({percent}%) fleet:{schema}] {message}"
        schema_migrate_message.send(run_migrations, message=line)
        if self.bar:
            filled = "#" * (percent * 30 // 100)
            self.stdout.write(f"\r\x1b[K[{filled:30}] {self.done}/{self.total} {schema}")
            self.stdout.flush()
        elif not self.silent:
            self.stdout.write(f"{line}\n")

    def was_migrated(self, schema: str, message: str) -> None:
        self.migrated.append(schema)
        self.say(schema, message)

    def has_failed(self, schema: str, reason: str) -> None:
        self.failed[schema] = reason
        self.say(schema, f"failed: {reason}")

    def finish(self) -> None:
        """Print the summary. Raises CommandError if a tenant failed or was not reached."""
        counts = {
            "migrated": self.migrated,
            "up to date": self.up_to_date,
            "waiting behind a canary": self.waiting,
            "drifted in the tables concerned (migrated by Django alone)": self.drifted,
            "failed": self.failed,
            "not touched": self.untouched,
        }
        always = ("migrated", "up to date", "failed")
        summary = ", ".join(
            f"{len(those)} {what}" for what, those in counts.items() if those or what in always
        )
        if self.bar and self.done:
            self.stdout.write("\r\x1b[K")
        if self.total and not self.silent:
            self.stdout.write(f"Tenants: {summary}.\n")
            if self.drifted:
                self.stdout.write(f"Drifted: {names(self.drifted)}.\n")
        if self.failed or self.stopped:
            lines = [f"  {schema}: {reason}" for schema, reason in self.failed.items()]
            if self.untouched:
                lines.append(f"  not touched, for their canary failed: {names(self.untouched)}")
            if self.stopped:
                lines.append(f"  {self.stopped}")
            told = "\n".join(lines)
            raise CommandError(
                f"{len(self.failed)} of {self.total} tenants failed; running again does what is"
                f" left.\n{told}"
            )


def names(schemas: Iterable[str]) -> str:
    """The first few, and how many more."""
    schemas = list(schemas)
    more = len(schemas) - MOST_NAMED
    return ", ".join(schemas[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def one_line(error: BaseException) -> str:
    """An error as one line."""
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
