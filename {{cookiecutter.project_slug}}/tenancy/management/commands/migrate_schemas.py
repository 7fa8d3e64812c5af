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
from tenancy.fleet import FleetExecutor, scratch
from tenancy.fleet.report import names
from tenancy.fleet.targets import targets
from tenancy.locks import advisory_lock
from tenancy.management.base import check_text
from tenancy.schemas import blueprint, spares

# With one of these options the tenants end up different from a new one.
PARTIAL = ["app_label", "canary_only", "fake", "fake_initial", "prune", "run_syncdb"]


class Command(library.MigrateSchemasCommand):
    help = (
        "Migrate the public schema and every tenant's. Tenants with the same migrations form a"
        " group: Django migrates the first, and its SQL is applied to the others where that is"
        " right. A failure doesn't stop the other tenants. Run it again to do what is left."
    )

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--canary", metavar="SCHEMA", help="the tenant to migrate first")
        parser.add_argument(
            "--canary-only", action="store_true", help="migrate one tenant of each group, and stop"
        )
        parser.add_argument(
            "--jobs", type=int, default=1, metavar="N", help="migrate N tenants at once"
        )

    def handle(self, *args, **options):
        SyncCommon.handle(self, *args, **options)
        public = get_public_schema_name()
        if options["database"] not in connections:
            raise CommandError(f"There is no database “{options['database']}” in DATABASES.")
        one_schema = self.schema_name if self.schema_name != public else None
        executor = self.find_executor()
        only_looks = options["plan"] or options["check_unapplied"]
        # The migrations of a new tenant don't wait for those of the fleet.
        needs_no_lock = one_schema or only_looks
        try:
            self.check_schemas(one_schema, options["canary"])
            with (
                nullcontext()
                if needs_no_lock
                else advisory_lock("migrate_schemas", on_wait=self.announce_wait)
            ):
                if only_looks and isinstance(executor, FleetExecutor):
                    shared = [public] if self.sync_public else []
                    executor.run_migrations([*shared, *self.find_tenants(one_schema)])
                else:
                    self.migrate(executor, public, one_schema)
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"The database failed: {one_line(error)}") from error

    def find_executor(self) -> Executor:
        try:
            found = library.GET_EXECUTOR_FUNCTION(codename=self.executor)
        except NotImplementedError as error:
            known = ", ".join(each.codename for each in Executor.__subclasses__())
            raise CommandError(f"{error}; there are {known}.") from None
        if found is not FleetExecutor and (self.options["canary"] or self.options["canary_only"]):
            raise CommandError("Only the executor “fleet” has canaries.")
        if self.options["jobs"] < 1:
            raise CommandError("--jobs is the number of tenants to migrate at once: 1 or more.")
        if found is not FleetExecutor and self.options["jobs"] > 1:
            raise CommandError("Only the executor “fleet” has --jobs.")
        return found(self.args, self.options)

    def check_schemas(self, schema: str | None, canary: str | None) -> None:
        """Raise CommandError if one of the schemas is not a tenant's."""
        check_text(schema)
        check_text(canary)
        # Not one of PostgreSQL's own, nor a template of the blueprint, nor a spare.
        if schema is not None and not (
            re.match(hosts.SCHEMA_NAME, schema)
            and schema_exists(schema, self.options["database"])
            and schema not in spares.names()
        ):
            raise CommandError(f"There is no tenant's schema “{schema}”.")
        if canary and not Tenant.all_objects.to_migrate().filter(schema_name=canary).exists():
            raise CommandError(f"No tenant that is to be migrated has the schema “{canary}”.")

    def migrate(self, executor: Executor, public: str, one_schema: str | None) -> None:
        if self.sync_public:
            self.refuse_to_drop_owners()
            executor.run_migrations([public])
        failure = None
        try:
            if self.sync_tenant:
                executor.run_migrations(self.find_tenants(one_schema))
        except CommandError as error:
            failure = error  # new tenants shall be like those that were migrated
        if not one_schema and not any(map(self.options.get, PARTIAL)):
            blueprint.refresh(stdout=self.stdout, dump_by=scratch.dump_template)
            spares.try_to_refill(stdout=self.stdout)
        if failure:
            raise failure
        if self.sync_tenant and not one_schema:
            self.name_unfinished()

    def refuse_to_drop_owners(self) -> None:
        """Raise CommandError for a backward migration that drops the tables of tenants, people or
        content types while there are tenants: their schemas would belong to nobody.
        """
        if not self.options["migration_name"] or not self.has_tenants_table():
            return
        connection = connections[self.options["database"]]
        with schema_context(get_public_schema_name()):
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(targets(executor.loader, self.options))
            kept = {model._meta.app_label for model in (Tenant, get_user_model(), ContentType)}
            undone = {step.app_label for step, is_back in plan if is_back and is_first(step)}
            if kept & undone and Tenant.all_objects.exclude(schema_name=get_public_schema_name()):
                raise CommandError(
                    "There are tenants: who owns them would be lost. `purge_tenant` ends one."
                )

    def find_tenants(self, one_schema: str | None) -> Iterable[str]:
        if one_schema:
            return [one_schema]
        if not self.sync_tenant or not self.has_tenants_table():
            return []
        tenants = Tenant.all_objects.to_migrate().values_list("schema_name", flat=True)
        order = get_tenant_migration_order()
        return tenants if order is None else tenants.order_by(*order)

    def has_tenants_table(self) -> bool:
        connection = connections[self.options["database"]]
        with schema_context(get_public_schema_name()):
            return Tenant._meta.db_table in connection.introspection.table_names()

    def name_unfinished(self) -> None:
        """Print the tenants that are being made, perhaps by code that has fewer migrations."""
        tenants = Tenant.all_objects.filter(status=Tenant.Status.PROVISIONING)
        schemas = tenants.values_list("schema_name", flat=True)
        if self.options["verbosity"] and self.has_tenants_table() and schemas:
            self.stdout.write(f"Being made, and not migrated: {names(schemas)}.")

    def announce_wait(self) -> None:
        if self.options["verbosity"]:
            self.stdout.write("Another migrate_schemas is running; this one waits for its end.")


def is_first(migration: Migration) -> bool:
    """Return whether it creates an app's first tables: is initial, or has none of its app before.

    An app may have several initial migrations; a later one has the relations.
    """
    return migration.initial or migration.app_label not in dict(migration.dependencies)
