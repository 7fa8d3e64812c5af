"""The executor of `migrate_schemas`: tenants with the same migrations are migrated together.

django-tenants' signals are sent for each tenant as its standard executor sends them, even if there
is nothing to do: `schema_pre_migration` and `schema_migrated`, both in the public schema and with
`run_migrations` as the sender, and `schema_migrate_message` for each line. So are Django's
`pre_migrate` and `post_migrate` for receivers that aren't Django's own. Without receivers a tenant
that is up to date costs only its share of the queries that find that out.
"""

import os
import sys
from importlib import import_module

from django.apps import apps
from django.core.management import CommandError
from django.db import DatabaseError, InterfaceError, connections
from django.db.models import QuerySet
from django.utils.module_loading import module_has_submodule
from django_tenants import migration_executors
from django_tenants.migration_executors.base import MigrationExecutor

from tenancy.database import citus
from tenancy.exceptions import one_line
from tenancy.fleet import plan, rolling
from tenancy.fleet.plan import Cohort
from tenancy.fleet.report import Report
from tenancy.fleet.run import Run
from tenancy.fleet.strategies import FLEET, migrate_by_django
from tenancy.isolation.router import shared_tables_of_tenants


def get_executor(codename: str | None = None) -> type[MigrationExecutor]:
    """Return the executor's class (GET_EXECUTOR_FUNCTION): this one, unless another is named.

    Raises NotImplementedError for a name that no executor has.
    """
    codename = codename or os.environ.get("EXECUTOR", FleetExecutor.codename)
    return migration_executors.get_executor(codename)


class FleetExecutor(MigrationExecutor):
    codename = FLEET

    def __init__(self, args, options):
        super().__init__(args, options)
        for config in apps.get_app_configs():  # Django's `migrate` looks here for receivers, too
            if module_has_submodule(config.module, "management"):
                import_module(".management", config.name)
        self.connection = connections[options.get("database") or self.TENANT_DB_ALIAS]
        self.stdout = options.get("stdout") or sys.stdout

    def run_migrations(self, tenants=()) -> None:
        """Migrate the schemas; with `plan` or `check_unapplied` among the options only look.

        A queryset is evaluated once more when the work is done, for tenants that came meanwhile.
        Raises CommandError, which names each tenant that failed and why; SystemExit for --check.
        """
        schemas = list(tenants)
        if self.options.get("plan") or self.options.get("check_unapplied"):
            self.look(schemas)
            return
        report = Report(self.stdout, self.options.get("verbosity", 1))
        if self.PUBLIC_SCHEMA_NAME in schemas:
            schemas.remove(self.PUBLIC_SCHEMA_NAME)
            report.warn(rolling.lines(self.plan([self.PUBLIC_SCHEMA_NAME])[0]))
            self.migrate_public()
        run = Run(self.connection, self.args, self.options, report)
        try:
            run.migrate(schemas)
            if isinstance(tenants, QuerySet):
                run.migrate([schema for schema in tenants.all() if schema not in report.outcomes])
        except (DatabaseError, InterfaceError) as error:
            if run.inside_transaction:
                raise
            report.stopped = one_line(error)
        report.finish()

    def migrate_public(self) -> None:
        try:
            migrate_by_django(self.connection, self.PUBLIC_SCHEMA_NAME, self.args, self.options)
        except CommandError:
            raise
        except Exception as error:
            raise CommandError(f"{self.PUBLIC_SCHEMA_NAME}: {one_line(error)}") from error
        citus.make_reference_tables(self.connection, shared_tables_of_tenants())

    def plan(self, schemas: list[str]) -> tuple[list[Cohort], list[str]]:
        return plan.make(self.connection, schemas, self.options)

    def look(self, schemas: list[str]) -> None:
        cohorts, missing = self.plan(schemas)
        if self.options.get("plan"):
            for line in (*plan.describe(cohorts, missing), *rolling.lines(cohorts)):
                self.stdout.write(f"{line}\n")
        work = any(cohort.steps or cohort.error for cohort in cohorts)
        if self.options.get("check_unapplied") and (work or missing):
            sys.exit(1)
