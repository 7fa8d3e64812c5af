import re
from collections.abc import Iterable
from contextlib import nullcontext

from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError
from django.db import DatabaseError, InterfaceError, connections
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django_tenants.management.commands import SyncCommon
from django_tenants.management.commands import migrate_schemas as library
from django_tenants.migration_executors.base import MigrationExecutor as Executor
from django_tenants.utils import (
    get_public_schema_name,
    get_tenant_migration_order,
    schema_context,
    schema_exists,
)

from tenancy import hosts
from tenancy.concrete import Tenant
from tenancy.exceptions import one_line
from tenancy.fleet import FleetExecutor
from tenancy.fleet.report import names
from tenancy.fleet.targets import targets
from tenancy.locks import advisory_lock
from tenancy.management.base import is_text
from tenancy.schemas import blueprint

# With these among the options a run leaves tenants as no new one shall be.
NOT_PLAIN = ["app_label", "canary_only", "fake", "fake_initial", "prune", "run_syncdb"]


class Command(library.MigrateSchemasCommand):
    help = (
        "Migrate the public schema and every tenant's. Tenants with the same migrations go"
        " together: the first by Django, the others by the SQL that it was where that is right."
        " One that fails stops no other, and running again does what is left."
    )

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--canary", metavar="SCHEMA", help="the tenant to migrate first")
        parser.add_argument(
            "--canary-only",
            action="store_true",
            help="migrate one tenant of each kind, and stop",
        )

    def handle(self, *args, **options):
        SyncCommon.handle(self, *args, **options)
        public = get_public_schema_name()
        if options["database"] not in connections:
            raise CommandError(f"There is no database “{options['database']}” in DATABASES.")
        one_schema = self.schema_name if self.schema_name != public else None
        executor = self.find_executor()
        looks = options["plan"] or options["check_unapplied"]
        try:
            if one_schema is not None:
                self.check_schema(one_schema)
            if canary := options["canary"]:
                self.check_canary(canary)
            # Who makes a tenant doesn't wait for those that are migrated.
            with (
                nullcontext()
                if one_schema or looks
                else advisory_lock("migrate_schemas", on_wait=self.waits)
            ):
                if looks and isinstance(executor, FleetExecutor):
                    shared = [public] if self.sync_public else []
                    executor.run_migrations([*shared, *self.find_tenants(one_schema)])
                else:
                    self.migrate(executor, public, one_schema)
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"The database failed: {one_line(error)}") from error

    def keep_owners(self) -> None:
        """Raises CommandError for a way back on which the tables of tenants or people are dropped,
        or what ties the two, or content types: schemas would be left of which nobody knows whose
        they are.
        """
        if not self.options["migration_name"] or Tenant._meta.db_table not in self.shared_tables():
            return
        connection = connections[self.options["database"]]
        with schema_context(get_public_schema_name()):
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(targets(executor.loader, self.options))
            kept = {model._meta.app_label for model in (Tenant, get_user_model(), ContentType)}
            unmade = {step.app_label for step, is_back in plan if is_back and is_first(step)}
            if kept & unmade and Tenant.all_objects.exclude(schema_name=get_public_schema_name()):
                raise CommandError(
                    "There are tenants: who owns them would be lost. `purge_tenant` ends one."
                )

    def find_executor(self) -> Executor:
        try:
            found = library.GET_EXECUTOR_FUNCTION(codename=self.executor)
        except NotImplementedError as error:
            known = ", ".join(each.codename for each in Executor.__subclasses__())
            raise CommandError(f"{error}; there are {known}.") from None
        if found is not FleetExecutor and (self.options["canary"] or self.options["canary_only"]):
            raise CommandError("Only the executor “fleet” has canaries.")
        return found(self.args, self.options)

    def check_schema(self, schema: str) -> None:
        is_tenants = re.match(hosts.SCHEMA_NAME, schema)  # not PostgreSQL's own, nor a template
        if not is_tenants or not schema_exists(schema, self.options["database"]):
            raise CommandError(f"There is no tenant's schema “{schema}”.")

    def check_canary(self, canary: str) -> None:
        tenants = Tenant.all_objects.to_migrate()
        if not is_text(canary) or not tenants.filter(schema_name=canary).exists():
            raise CommandError(f"No tenant that is to be migrated has the schema “{canary}”.")

    def find_tenants(self, one_schema: str | None) -> Iterable[str]:
        if one_schema:
            return [one_schema]
        if not self.sync_tenant or Tenant._meta.db_table not in self.shared_tables():
            return []
        tenants = Tenant.all_objects.to_migrate().values_list("schema_name", flat=True)
        order = get_tenant_migration_order()
        return tenants if order is None else tenants.order_by(*order)

    def shared_tables(self) -> list[str]:
        connection = connections[self.options["database"]]
        with schema_context(get_public_schema_name()):
            return connection.introspection.table_names()

    def migrate(self, executor: Executor, public: str, one_schema: str | None) -> None:
        if self.sync_public:
            self.keep_owners()
            executor.run_migrations([public])
        failure = None
        try:
            if self.sync_tenant:
                executor.run_migrations(self.find_tenants(one_schema))
        except CommandError as error:  # new tenants shall be like those that went well
            failure = error
        if not one_schema and not any(map(self.options.get, NOT_PLAIN)):
            blueprint.refresh(stdout=self.stdout)
        if failure:
            raise failure
        if self.sync_tenant and not one_schema:
            self.name_those_being_made()

    def name_those_being_made(self) -> None:
        """Their schemas may be made by other code, which knows fewer migrations."""
        tenants = Tenant.all_objects.filter(status=Tenant.Status.PROVISIONING)
        schemas = tenants.values_list("schema_name", flat=True)
        if self.options["verbosity"] and Tenant._meta.db_table in self.shared_tables() and schemas:
            self.stdout.write(f"Being made, and not migrated: {names(schemas)}.")

    def waits(self) -> None:
        if self.options["verbosity"]:
            self.stdout.write("Another migrate_schemas is running; this one waits for its end.")


def is_first(migration: Migration) -> bool:
    """Whether it makes an app's first tables; of several that do, one has the relations."""
    return migration.initial or migration.app_label not in dict(migration.dependencies)
