"""Spare schemas: made from the blueprint in advance, so that a new tenant takes rows alone.

A spare's name is its tenant's schema name for good, so nothing is renamed. Before it is given out
nothing enters it. It isn't migrated either: a spare of other migrations is dropped and made anew.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, transaction
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy.database import citus
from tenancy.exceptions import NoBlueprint, one_line
from tenancy.locks import advisory_lock
from tenancy.models import Blueprint, SpareSchema
from tenancy.schemas import blueprint, dump
from tenancy.schemas.ddl import drop_schema

TABLE = SpareSchema._meta.db_table
# A name in the search_path without a schema would lead to the tables of public.
TAKE = f"""
    DELETE FROM {TABLE} WHERE id = (
        SELECT id FROM {TABLE}
        WHERE key = %s AND to_regnamespace(schema_name) IS NOT NULL
        ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING schema_name
"""  # noqa: S608

logger = logging.getLogger(__name__)


class AnotherMakesThem(Exception):
    """Another process makes the spare schemas."""


def wanted() -> int:
    """Return how many spares are to be kept ready."""
    return getattr(settings, "SPARE_SCHEMAS", 0)


def ready() -> int:
    """Return how many spares are of this code's migrations."""
    with schema_context(get_public_schema_name()):
        return SpareSchema.objects.filter(key=blueprint.key()).count()


def described() -> str:
    return f"Spare schemas: {ready()} of {wanted()} are ready."


def names() -> set[str]:
    """Return the names of all spares: none before the first migration."""
    with schema_context(get_public_schema_name()):
        if TABLE not in connection.introspection.table_names():
            return set()
        return {*SpareSchema.objects.values_list("schema_name", flat=True)}


def take() -> str | None:
    """Return the name of a spare that no other process gets, or None if none is left.

    The spare is the caller's when the transaction commits.
    """
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [blueprint.key()])
        row = cursor.fetchone()
    return row[0] if row else None


@contextmanager
def given_out(schema_name: str) -> Iterator[None]:
    """Send the signals of a new schema for a spare that was taken, and run the block.

    All of this is one transaction, as with `blueprint.new_schema`.
    """
    with schema_context(schema_name), transaction.atomic():
        blueprint.send_schema_signals(schema_name)
        yield


def try_to_refill(stdout=None, *, waits: bool = True) -> None:
    """Do what `refill` does. If it fails, a line says why, and new tenants wait for their schemas.

    Unless it `waits`, do nothing while another process makes them.
    """
    try:
        refill(on_wait=None if waits else give_up)
    except AnotherMakesThem:
        return
    except Exception as error:  # the database may be gone, or its tables not be made yet
        write = stdout.write if stdout else logger.warning
        write(f"The spare schemas can't be made: {one_line(error)}")


def give_up():
    raise AnotherMakesThem


def refill(on_wait: Callable[[], object] | None = None) -> int:
    """Make spares until there are SPARE_SCHEMAS, and return how many that took.

    If another process does the same, call `on_wait`, which may raise, and wait for it.

    Drop those that are too many, or of other migrations. Raises NoBlueprint for code that isn't
    the blueprint's: during a deployment, the spares are for the other code.
    """
    with (
        schema_context(get_public_schema_name()),
        advisory_lock("spare schemas", on_wait=on_wait, connection=connection),
    ):
        if wanted() and not Blueprint.objects.filter(key=blueprint.key()).exists():
            raise NoBlueprint("the blueprint is of other migrations, or missing")
        spares = [*SpareSchema.objects.order_by("pk")]
        there = existing(spare.schema_name for spare in spares)
        good = [s for s in spares if s.key == blueprint.key() and s.schema_name in there]
        kept = good[: wanted()]
        for spare in spares:
            if spare not in kept:
                drop(spare)
        lacking = wanted() - len(kept)
        for _ in range(lacking):
            make()
    return lacking


def existing(schema_names: Iterable[str]) -> set[str]:
    with connection.cursor() as cursor:
        sql = "SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s)"
        cursor.execute(sql, [[*schema_names]])
        return {name for (name,) in cursor}


def make() -> None:
    """Make a spare. Half of one is rolled back, also if the process is killed."""
    name = f"tenant{secrets.token_hex(4)}_{secrets.token_hex(4)}"
    template_name, statements = blueprint.load()
    with transaction.atomic():
        with citus.placed(name):
            dump.replay(statements, template_name, name)
        SpareSchema.objects.create(schema_name=name, key=blueprint.key())


def drop(spare: SpareSchema) -> None:
    """Drop a spare, unless it is just being given out."""
    with transaction.atomic():
        if SpareSchema.objects.select_for_update(skip_locked=True).filter(pk=spare.pk).first():
            drop_schema(spare.schema_name, missing_ok=True)
            spare.delete()
