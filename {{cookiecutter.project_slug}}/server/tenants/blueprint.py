"""A new tenant's schema is made from a blueprint: what migrations made of a template, written down.

Without one that is right for this code, migrations make it: as right, and many times slower.
"""

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache
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

from server.tenants import snapshot
from server.tenants.errors import in_a_line
from server.tenants.locks import only_one
from server.tenants.models import Blueprint
from server.tenants.post_migrate import apps_after, djangos, emit, is_heard, others
from server.tenants.receivers import others_hear
from server.tenants.schemas import TEMPLATE_NAME, create_schema, drop_schema
from server.tenants.snapshot import NotWrittenDown
from server.tenants.undo import undoing

logger = logging.getLogger(__name__)


@cache
def key() -> str:
    """What a blueprint depends on, as a hash: all migrations, to the letter, and Django itself."""
    migrations = MigrationLoader(None, load=False)
    migrations.load_disk()
    sources = {
        ".".join(name): hashlib.sha256(Path(getmodule(type(migration)).__file__).read_bytes())
        for name, migration in migrations.disk_migrations.items()
    }
    parts = {
        "django": django.get_version(),
        "backend": settings.ORIGINAL_BACKEND,
        "tenant_apps": list(settings.TENANT_APPS),
        "migrations": {name: source.hexdigest() for name, source in sources.items()},
    }
    return checksum(json.dumps(parts, sort_keys=True))


def checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class NoBlueprint(Exception):
    """There is none to use; the message says why."""


def read() -> tuple[str, list[str]]:
    """The template's name, and the statements that make its like. Raises NoBlueprint."""
    kept = Blueprint.objects.first()
    if kept is None:
        raise NoBlueprint("there is none")
    if kept.key != key():
        raise NoBlueprint("it is of other migrations")
    if kept.checksum != checksum(kept.template_name + kept.statements):
        raise NoBlueprint("it is damaged")
    return kept.template_name, json.loads(kept.statements)


@lru_cache(maxsize=1)
def remembered(key: str) -> tuple[str, list[str]]:
    """The same for as long as the process lives: what has this key makes what this code makes."""
    return read()


def is_at_hand() -> bool:
    """Whether the next tenant is made from the blueprint, unless that fails."""
    try:
        remembered(key())
    except NoBlueprint:
        return False
    return True


def is_right() -> bool:
    try:
        read()
    except NoBlueprint:
        return False
    return True


def refresh(stdout=None) -> None:
    """Make the blueprint anew unless it is that of this code; the shared tables must be migrated.

    Where that fails, a line says why, and migrations go on making the tenants.
    """
    try:
        with schema_context(get_public_schema_name()):
            if is_right():
                return
            with only_one("blueprint"):
                if not is_right():  # another may have been first
                    make()
    except Exception as error:  # whatever a migration raises, and a database that has gone
        tell = stdout.write if stdout else logger.warning
        tell(f"New tenants will be made by migrations, slowly: {in_a_line(error)}")


def make() -> None:
    try:
        template_name, statements = write_template_down()
    finally:
        drop_templates()  # those of one that was killed, too
    keep(template_name, json.dumps(statements))


def keep(template_name: str, statements: str) -> None:
    with transaction.atomic():
        Blueprint.objects.all().delete()
        Blueprint.objects.create(
            key=key(),
            template_name=template_name,
            statements=statements,
            checksum=checksum(template_name + statements),
        )


def write_template_down() -> tuple[str, list[str]]:
    """The name of a migrated template, and the statements that are known to make the same."""
    template_name, copy_name = new_name(), new_name()
    create_schema(template_name)
    migrate(template_name)
    statements = snapshot.write_down(template_name)
    snapshot.replay(statements, template_name, copy_name)
    copied = [one.replace(copy_name, template_name) for one in snapshot.write_down(copy_name)]
    if different := set(statements) ^ set(copied):
        raise NotWrittenDown(f"A replay makes something else: {min(different)}")
    return template_name, statements


def migrate(schema_name: str) -> None:
    """What `migrate_schemas` does; of the receivers of signals only Django's own hear of it."""
    alias = connection.alias
    with schema_context(schema_name):
        # Where public is on the path, its record of migrations would be taken for this one's.
        connection.set_schema(schema_name, include_public=False)
        MigrationRecorder(connection).ensure_schema()
        connection.set_schema(schema_name)
        executor = MigrationExecutor(connection)
        targets = executor.loader.graph.leaf_nodes()
        plan = executor.migration_plan(targets)
        state = executor.loader.project_state([])
        emit(pre_migrate, to=djangos, using=alias, apps=state.apps, plan=plan)
        state = executor.migrate(targets, plan, state.clone())
        emit(post_migrate, to=djangos, using=alias, apps=apps_after(state), plan=plan)


@contextmanager
def new_schema(schema_name: str) -> Iterator[None]:
    """Make a tenant's schema with all that migrations would make in it, tell who asked to hear, and
    run the block.

    With a blueprint all of this is one transaction. Whatever is raised, by a receiver or the block
    too, no schema is left behind. Raises ProgrammingError where the schema exists.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(replayed(schema_name))
        except (NoBlueprint, DatabaseError) as error:
            remembered.cache_clear()
            why = in_a_line(error)
            logger.warning(f"Without a blueprint, migrations make {schema_name}: {why}")
            stack.enter_context(migrated(schema_name))
        else:
            announce(schema_name, has_views=makes_views(key()))
        yield


@contextmanager
def replayed(schema_name: str) -> Iterator[None]:
    """A schema from the blueprint, in one transaction with the block."""
    template_name, statements = remembered(key())
    with schema_context(schema_name), transaction.atomic():
        snapshot.replay(statements, template_name, schema_name)
        yield


@contextmanager
def migrated(schema_name: str) -> Iterator[None]:
    """A schema made by migrations, which is dropped if the block fails."""
    create_schema(schema_name)
    with undoing() as undo:
        undo.callback(drop_schema, schema_name)
        call_command(
            "migrate_schemas",
            tenant=True,
            schema_name=schema_name,
            interactive=False,
            stdout=StringIO(),  # but the messages are sent
        )
        yield


@lru_cache(maxsize=1)
def makes_views(key: str) -> bool:
    return any("MATERIALIZED VIEW" in statement for statement in remembered(key)[1])


def announce(schema_name: str, *, has_views: bool = True) -> None:
    """Send the signals that a schema's migration ends with.

    Without a materialized view, whoever fills them needn't look, which takes a while.
    """
    if is_heard(post_migrate, others):
        with schema_context(schema_name):
            emit(post_migrate, to=others, using=connection.alias, **as_after_migrations())
    with schema_context(get_public_schema_name()):
        message = f"[blueprint:{schema_name}] Made as its migrations would"
        schema_migrate_message.send_robust(run_migrations, message=message)
        if has_views or others_hear(schema_migrated):
            schema_migrated.send(run_migrations, schema_name=schema_name)


@cache
def as_after_migrations() -> dict[str, object]:
    """What receivers of `post_migrate` get after all migrations."""
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
        cursor.execute("SELECT nspname FROM pg_namespace")
        names = [name for (name,) in cursor if re.match(TEMPLATE_NAME, name)]
    for name in names:
        drop_schema(name)
