"""New tenants' schemas are made from a blueprint: a dump of the schema that the migrations make.

If the blueprint is missing, damaged or of other migrations, the migrations make the schema. The
result is the same, but takes many times longer.
"""

import hashlib
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from inspect import getmodule
from io import StringIO
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import post_migrate, pre_migrate
from django_tenants.migration_executors.base import run_migrations
from django_tenants.signals import schema_migrate_message, schema_migrated
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy.database import citus
from tenancy.exceptions import DumpFailed, NoBlueprint, one_line
from tenancy.isolation.credentials import credential_models
from tenancy.isolation.router import is_in_tenants
from tenancy.locks import advisory_lock
from tenancy.models import Blueprint
from tenancy.schemas import dump
from tenancy.schemas.ddl import TEMPLATE_NAME, create_schema, drop_schema
from tenancy.schemas.migrate_signals import (
    apps_after,
    has_custom_receivers,
    is_custom_receiver,
    is_django_receiver,
    send_migrate_signal,
)
from tenancy.schemas.undo import undoing

logger = logging.getLogger(__name__)


@cache
def key() -> str:
    """Return a hash of what a blueprint depends on: the source of each migration, and Django."""
    migrations = MigrationLoader(None, load=False)
    migrations.load_disk()
    parts = {
        "django": django.get_version(),
        "backend": settings.ORIGINAL_BACKEND,
        "tenant_apps": list(settings.TENANT_APPS),
        "migrations": {
            ".".join(name): checksum(Path(getmodule(type(migration)).__file__).read_bytes())
            for name, migration in migrations.disk_migrations.items()
        },
    }
    return checksum(json.dumps(parts, sort_keys=True).encode())


def checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@cache
def load() -> tuple[str, list[str]]:
    """Return the template's name and the statements that make its tables. Raises NoBlueprint.

    A process reads them once: any blueprint with this code's key makes the same tables.
    """
    stored = Blueprint.objects.first()
    if stored is None:
        raise NoBlueprint("there is none")
    if stored.key != key():
        raise NoBlueprint("it is of other migrations")
    if stored.checksum != checksum((stored.template_name + stored.statements).encode()):
        raise NoBlueprint("it is damaged")
    return stored.template_name, json.loads(stored.statements)


def is_usable() -> bool:
    """Return whether the blueprint exists and is of this code."""
    try:
        load()
    except NoBlueprint:
        return False
    return True


def refresh(stdout=None, *, dump_by: Callable[[], tuple[str, list[str]]] | None = None) -> None:
    """Make the blueprint unless the database has this code's. The shared tables must be migrated.

    `dump_by` is by default `dump_template`.
    If it can't be made, a line says why, and new tenants are made by migrations.
    """
    load.cache_clear()
    try:
        with schema_context(get_public_schema_name()):
            if is_usable():
                return
            with advisory_lock("blueprint"):
                if not is_usable():  # another process may have been first
                    make(dump_by or dump_template)
    except Exception as error:  # a migration may raise anything, and the database may be gone
        write = stdout.write if stdout else logger.warning
        write(f"New tenants will be made by migrations, slowly: {one_line(error)}")


def make(dump_by: Callable[[], tuple[str, list[str]]]) -> None:
    """Dump a schema that the migrations have made, and store the dump as the blueprint."""
    try:
        template_name, statements = dump_by()
    finally:
        drop_templates()  # also what processes that were killed have left
    text = json.dumps(statements)
    with transaction.atomic():
        Blueprint.objects.all().delete()
        Blueprint.objects.create(
            key=key(),
            template_name=template_name,
            statements=text,
            checksum=checksum((template_name + text).encode()),
        )


def dump_template() -> tuple[str, list[str]]:
    """Migrate a template, and prove that its dump makes the same schema. Raises DumpFailed.

    Returns the template's name and the statements.
    """
    template_name, copy_name = make_template(), new_name()
    statements = dump.dump_schema(template_name)
    dump.replay(statements, template_name, copy_name)
    copied = [one.replace(copy_name, template_name) for one in dump.dump_schema(copy_name)]
    if different := set(statements) ^ set(copied):
        raise DumpFailed(f"A replay makes something else: {min(different)}")
    return template_name, statements


def make_template() -> str:
    """Migrate a new template, and return its name. Raises DumpFailed."""
    template_name = new_name()
    create_schema(template_name)
    migrate(template_name)
    refuse_credentials(template_name)
    return template_name


def refuse_credentials(schema_name: str) -> None:
    """Raise DumpFailed if a migration makes a secret: with a blueprint all tenants had the same."""
    with schema_context(schema_name):
        for model in credential_models():
            if is_in_tenants(model) and model._meta.managed and model._base_manager.exists():
                raise DumpFailed(f"A migration makes a row of {model._meta.label}, a credential.")


def migrate(schema_name: str) -> None:
    """Migrate a template as `migrate_schemas` would, but send signals to Django's receivers only.

    The project's receivers expect the schema of a tenant.
    """
    using = connection.alias
    with schema_context(schema_name):
        # With public on the search_path, its table of migrations would be taken for this one's.
        connection.set_schema(schema_name, include_public=False)
        MigrationRecorder(connection).ensure_schema()
        connection.set_schema(schema_name)
        executor = MigrationExecutor(connection)
        targets = executor.loader.graph.leaf_nodes()
        plan = executor.migration_plan(targets)
        state = executor.loader.project_state([])
        send_migrate_signal(
            pre_migrate, is_django_receiver, using=using, apps=state.apps, plan=plan
        )
        state = executor.migrate(targets, plan, state.clone())
        apps = apps_after(state)
        send_migrate_signal(post_migrate, is_django_receiver, using=using, apps=apps, plan=plan)


@contextmanager
def new_schema(schema_name: str) -> Iterator[None]:
    """Make a tenant's schema with all its tables, send the signals, and run the block.

    With a blueprint all of this is one transaction. If a receiver or the block raises, the schema
    is gone. Raises ProgrammingError if the schema exists.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(replayed(schema_name))
        except (NoBlueprint, DatabaseError) as error:
            load.cache_clear()
            why = one_line(error)
            logger.warning(f"Without a blueprint, migrations make {schema_name}: {why}")
            stack.enter_context(migrated(schema_name))
        else:
            send_schema_signals(schema_name)
        yield


@contextmanager
def replayed(schema_name: str) -> Iterator[None]:
    """Make a schema from the blueprint, in one transaction with the block."""
    template_name, statements = load()
    with schema_context(schema_name), transaction.atomic():
        with citus.placed(schema_name):
            dump.replay(statements, template_name, schema_name)
        yield


@contextmanager
def migrated(schema_name: str) -> Iterator[None]:
    """Make a schema by migrations, and drop it if the block raises."""
    create_schema(schema_name)
    with undoing() as undo:
        undo.callback(drop_schema, schema_name)
        with citus.placed(schema_name):
            run_migrations_in(schema_name)
        yield


def run_migrations_in(schema_name: str) -> None:
    """Migrate a tenant's schema with `migrate_schemas`, which sends the signals."""
    call_command(
        "migrate_schemas",
        tenant=True,
        schema_name=schema_name,
        interactive=False,
        stdout=StringIO(),  # receivers of schema_migrate_message get the lines
    )


def send_schema_signals(schema_name: str) -> None:
    """Send the signals with which a schema's migration ends."""
    if has_custom_receivers(post_migrate):
        with schema_context(schema_name):
            send_migrate_signal(
                post_migrate, is_custom_receiver, using=connection.alias, **after_all_migrations()
            )
    with schema_context(get_public_schema_name()):
        message = f"[blueprint:{schema_name}] Made as its migrations would"
        schema_migrate_message.send_robust(run_migrations, message=message)
        schema_migrated.send(run_migrations, schema_name=schema_name)


@cache
def after_all_migrations() -> dict[str, object]:
    """Return the `apps` and the `plan` that receivers of `post_migrate` get."""
    executor = MigrationExecutor(connection)
    targets = executor.loader.graph.leaf_nodes()
    return {
        "apps": apps_after(executor.loader.project_state()),
        "plan": executor.migration_plan(targets, clean_start=True),
    }


def new_name() -> str:
    return f"blueprint-{secrets.token_hex(16)}"


def drop_templates() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ %s", [TEMPLATE_NAME])
        for (name,) in cursor.fetchall():
            drop_schema(name)
