"""One run of `migrate_schemas` over tenants: in each cohort a canary first, then the others."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

from django.core.management import CommandError
from django.db import DatabaseError, InterfaceError

from tenancy.exceptions import HalfDone, one_line
from tenancy.fleet import drift, plan, rolling
from tenancy.fleet.plan import Cohort
from tenancy.fleet.report import Outcome, Report
from tenancy.fleet.strategies import Strategies, make_table
from tenancy.fleet.threads import drain, in_threads

PATIENCE = 30  # seconds that a database has to come back
MAX_SCHEMAS = 200  # of a connection: PostgreSQL looks at all that it remembers after each change
FAILURES = Exception, SystemExit  # a migration may call sys.exit()


class Run:
    """Migrates tenants over one connection, and tells the report what becomes of each."""

    def __init__(self, connection, args, options: dict, report: Report):
        self.connection = connection
        self.args = args
        self.options = options
        self.report = report
        self.strategies = Strategies(connection, args, options, report)
        self.inside_transaction = connection.in_atomic_block
        self.is_half_done = False  # what failed last, by an earlier run

    def migrate(self, schemas: list[str]) -> None:
        """Raises what `plan.make` raises, and DatabaseError or InterfaceError for no tenant's."""
        self.report.schemas += schemas
        cohorts, missing = plan.make(self.connection, schemas, self.options)
        self.report.warn(rolling.lines(cohorts))
        for schema in missing:
            self.report.has_failed(schema, "there is no such schema")
        for cohort in cohorts:
            if cohort.error:
                self.report.has_failed(cohort.schemas[0], cohort.error)
                self.set_aside(cohort, Outcome.UNTOUCHED)
            elif cohort.by_django and cohort.steps:
                for schema in cohort.schemas:
                    self.attempt(cohort, schema, self.strategies.migrate_by_django)
            elif cohort.steps:
                self.migrate_cohort(cohort)
            else:
                self.finish_up_to_date(cohort)
        if Outcome.MIGRATED in self.report.outcomes.values():
            self.strategies.flush()

    def finish_up_to_date(self, cohort: Cohort) -> None:
        """Receivers hear of tenants that have all migrations, too."""
        for schema in cohort.schemas:
            if self.strategies.has_receivers or schema in cohort.pending:
                self.attempt(cohort, schema, self.strategies.apply_recorded)
            else:
                self.report.outcomes[schema] = Outcome.UP_TO_DATE

    def migrate_cohort(self, cohort: Cohort) -> None:
        canaries, drifted = self.choose(cohort)
        for canary in canaries:
            if not self.attempt(cohort, canary, self.strategies.migrate_canary):
                others = []
                if self.is_half_done and not self.options.get("canary"):
                    # Those alike are so, too. The others get a canary of their own.
                    others = [each for each in cohort.schemas if each in drifted]
                alike = [each for each in cohort.schemas if each not in others]
                self.set_aside(replace(cohort, schemas=alike), Outcome.UNTOUCHED)
                return self.migrate_cohort(replace(cohort, schemas=others)) if others else None
        if self.options.get("canary_only"):
            return self.set_aside(cohort, Outcome.WAITING)
        left = deque(self.report.left(cohort.schemas))
        if left and self.inside_transaction:
            raise CommandError("Tenants are migrated in a transaction each, not in another.")

        def work(connection):
            # A copy, since the models that Django makes of a state are for one thread.
            own = Run(connection, self.args, self.options, self.report)
            own.migrate_others(replace(cohort), drifted, left)

        jobs = min(self.options.get("jobs") or 1, len(left))
        return in_threads(left, work, self.connection, jobs)

    def migrate_others(self, cohort: Cohort, drifted: set[str], left: deque[str]) -> None:
        """Migrate the cohort after its canary. Other threads may take from `left`, too."""
        for schema in drain(left):
            self.connection.close_if_worn(MAX_SCHEMAS)
            if schema not in drifted:
                self.attempt(cohort, schema, self.strategies.apply_recorded)
            elif self.attempt(cohort, schema, self.strategies.migrate_individually):
                self.report.drifted.append(schema)

    def set_aside(self, cohort: Cohort, outcome: Outcome) -> None:
        self.report.outcomes |= dict.fromkeys(self.report.left(cohort.schemas), outcome)

    def choose(self, cohort: Cohort) -> tuple[list[str], set[str]]:
        """Return the canaries, of which the last is like most tenants, and the drifted tenants.

        There are two canaries if the one that is asked for has drifted.
        """
        wanted = [schema for schema in cohort.schemas if schema == self.options.get("canary")]
        if len(cohort.schemas) == 1:
            return cohort.schemas[:1], set()
        migrations = [step.migration for step in cohort.steps if step.migration]
        tables = drift.tables_concerned(migrations, cohort.before.apps, cohort.apps)
        prints = drift.fingerprints(self.connection, cohort.schemas, tables)
        [(usual, _)] = Counter(map(prints.get, cohort.schemas)).most_common(1)
        alike = [schema for schema in cohort.schemas if prints.get(schema) == usual]
        drifted = set(cohort.schemas).difference(alike)
        if wanted and wanted[0] not in drifted:
            return wanted, drifted
        self.report.drifted += wanted
        return [*wanted, alike[0]], drifted

    def attempt(
        self, cohort: Cohort, schema: str, strategy: Callable[[Cohort, str], object]
    ) -> bool:
        """Migrate the tenant by the strategy, and return whether that went well."""
        self.strategies.at = ""
        try:
            if not cohort.has_table:
                make_table(self.connection, schema)
            strategy(cohort, schema)
        except FAILURES as error:
            if self.inside_transaction:
                raise
            self.is_half_done = isinstance(error, HalfDone)
            self.report.has_failed(schema, f"{self.strategies.at}{one_line(error)}")
            self.reconnect()
            return False
        if cohort.steps:
            self.report.has_migrated(schema, ", ".join(map(str, cohort.steps)))
        else:
            self.report.outcomes[schema] = Outcome.UP_TO_DATE
        return True

    def reconnect(self) -> None:
        """Leave nothing in the connection of what has failed."""
        self.connection.close()
        self.connection.set_schema_to_public()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.connection.ensure_connection()
            except (DatabaseError, InterfaceError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
