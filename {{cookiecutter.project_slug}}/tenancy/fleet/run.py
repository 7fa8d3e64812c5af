"""Carrying out what was planned: a canary by Django, the others by what the canary has shown."""

import time
from collections import Counter
from collections.abc import Callable

from django.core.management import CommandError
from django.db import DatabaseError, InterfaceError

from tenancy.exceptions import one_line
from tenancy.fleet import drift, plan
from tenancy.fleet.plan import Cohort
from tenancy.fleet.report import Report
from tenancy.fleet.strategies import Strategies

PATIENCE = 30  # seconds that a database has to come back
# A migration may call sys.exit(): that's its tenant's failure.
FAILURES = (Exception, SystemExit)


class Run:
    """One run of the command over tenants; the report is told what becomes of each."""

    def __init__(self, connection, args, options: dict, report: Report):
        self.connection = connection
        self.options = options
        self.report = report
        self.strategies = Strategies(connection, args, options)
        self.left: dict[str, None] = {}  # the schemas whose turn is still to come, in order
        self.inside_transaction = connection.in_atomic_block

    def migrate(self, schemas: list[str]) -> None:
        """Raises what `plan.make` raises, and DatabaseError or InterfaceError for no tenant's."""
        self.left = dict.fromkeys(schemas)
        self.report.total = self.report.done + len(schemas)
        cohorts, missing = plan.make(self.connection, schemas, self.options)
        for schema in missing:
            self.report.has_failed(schema, "there is no such schema")
        self.left = dict.fromkeys(schema for cohort in cohorts for schema in cohort.schemas)
        for cohort in cohorts:
            if cohort.error:
                self.report.has_failed(cohort.schemas[0], cohort.error)
                self.left.pop(cohort.schemas[0])
                self.set_aside(cohort, self.report.untouched)
            elif cohort.has_work and cohort.by_django:
                for schema in cohort.schemas:
                    self.attempt(cohort, schema, self.strategies.migrate_individually)
            elif cohort.has_work:
                self.migrate_cohort(cohort)
            self.finish_up_to_date(cohort)

    def rest_of(self, cohort: Cohort) -> list[str]:
        return [schema for schema in cohort.schemas if schema in self.left]

    def finish_up_to_date(self, cohort: Cohort) -> None:
        """Those that have all migrations; who listens hears of each tenant all the same."""
        for schema in self.rest_of(cohort):
            if self.strategies.has_listeners or schema in cohort.pending:
                self.attempt(cohort, schema, self.strategies.apply_recorded)
            else:
                self.left.pop(schema)
                self.report.up_to_date.append(schema)

    def migrate_cohort(self, cohort: Cohort) -> None:
        canaries, drifted = self.choose(cohort)
        for canary in canaries:
            if not self.attempt(cohort, canary, self.strategies.migrate_canary):
                return self.set_aside(cohort, self.report.untouched)
        if self.options.get("canary_only"):
            return self.set_aside(cohort, self.report.waiting)
        for schema in self.rest_of(cohort):
            if self.inside_transaction:
                raise CommandError("Tenants are migrated in a transaction each, not in another.")
            if schema not in drifted:
                self.attempt(cohort, schema, self.strategies.apply_recorded)
            elif self.attempt(cohort, schema, self.strategies.migrate_individually):
                self.report.drifted.append(schema)
        return None

    def set_aside(self, cohort: Cohort, where: list[str]) -> None:
        for schema in self.rest_of(cohort):
            where.append(schema)
            self.left.pop(schema)

    def choose(self, cohort: Cohort) -> tuple[list[str], set[str]]:
        """The canaries, of which the last is like most tenants, and those that are not like them.

        They are two where the canary that is asked for has drifted.
        """
        wanted = [schema for schema in cohort.schemas if schema == self.options.get("canary")]
        if len(cohort.schemas) == 1:
            return wanted or cohort.schemas[:1], set()
        migrations = [step.migration for step in cohort.steps if step.migration]
        tables = drift.concerned(migrations, cohort.before.clone().apps)
        prints = drift.fingerprints(self.connection, cohort.schemas, tables)
        [(usual, _)] = Counter(map(prints.get, cohort.schemas)).most_common(1)
        alike = [schema for schema in cohort.schemas if prints.get(schema) == usual]
        drifted = set(cohort.schemas).difference(alike)
        if wanted and wanted[0] not in drifted:
            return wanted, drifted
        self.report.drifted += wanted
        return [*wanted, alike[0]], drifted

    def attempt(self, cohort: Cohort, schema: str, way: Callable[[Cohort, str], None]) -> bool:
        """Go the way with the tenant, and return whether that went well."""
        self.strategies.at = ""
        try:
            way(cohort, schema)
        except FAILURES as error:
            if self.inside_transaction:
                raise
            self.left.pop(schema)
            self.report.has_failed(schema, f"{self.strategies.at}{one_line(error)}")
            self.connect_anew()
            return False
        self.left.pop(schema)
        if cohort.has_work:
            self.report.was_migrated(schema, ", ".join(cohort.names))
        else:
            self.report.up_to_date.append(schema)
        return True

    def connect_anew(self) -> None:
        """A connection that nothing is left in of what has failed."""
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
