"""Makes the tables of an app where its migrations are recorded and none of its tables is there.

Each schema records the migrations of all apps. So an app that moves between SHARED_APPS and
TENANT_APPS has no migrations left to apply where it has no tables yet.
"""

from collections.abc import Iterable

from django.apps import apps
from django.core.management import CommandError
from django.db import router, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models.signals import post_migrate
from django_tenants.utils import schema_context

from tenancy.fleet.half_done import in_one_transaction, state_of
from tenancy.isolation.router import table_of
from tenancy.schemas.migrate_signals import is_django_receiver, send_migrate_signal


def create_tables(connection, label: str, schemas: Iterable[str]) -> list[str]:
    """Make the app's tables, empty, in the schemas that lack all of them; return these schemas.

    Schemas in which the app belongs and has all its tables are passed over. Each schema is a
    transaction. Raises CommandError for a schema that has some of the tables.
    """
    made = []
    for schema in schemas:
        with schema_context(schema), transaction.atomic(connection.alias):
            tables = {
                table_of(model)
                for model in state_of(connection).apps.get_models(include_auto_created=True)
                if model._meta.app_label == label
                and router.allow_migrate_model(connection.alias, model)
                and model._meta.can_migrate(connection)
            }
            there = tables.intersection(connection.introspection.table_names())
            if not tables or there == tables:
                continue
            if there:
                raise CommandError(
                    f"{schema} has some tables of “{label}”: {', '.join(sorted(there))}. Restore"
                    " the others from a backup, or drop these."
                )
            apply_recorded(connection, label)
            made.append(schema)
    return made


def apply_recorded(connection, label: str) -> None:
    """Apply the app's recorded migrations to the current schema once more."""
    executor = MigrationExecutor(connection)
    recorded = executor.loader.applied_migrations
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
    state = executor._create_project_state()
    for migration, _ in plan:
        if (migration.app_label, migration.name) not in recorded:
            continue
        if migration.app_label == label:
            with connection.schema_editor() as editor:
                state = in_one_transaction(migration).apply(state, editor)
        else:
            state = migration.mutate_state(state, preserve=False)
    configs = [apps.get_app_config(label)]
    send_migrate_signal(
        post_migrate,
        is_django_receiver,
        using=connection.alias,
        configs=configs,
        apps=apps,
        plan=[],
    )
