"""Migrations whose changes were made, but not recorded.

Django makes the changes of some migrations in one transaction and records them in the next. A
process that was killed in between left a migration that can't be applied, or undone, again.
Migrations with `atomic = False` can still be left so.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import ProgrammingError, transaction
from django.db.backends.postgresql.psycopg_any import errors
from django.db.migrations import AddIndex, Migration, RemoveIndex
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

from tenancy.exceptions import HalfDone, one_line
from tenancy.fleet import drift
from tenancy.fleet.replay_policy import is_about_its_app

# What PostgreSQL says of an object that is there already, or is gone already.
SAYS_SO = (
    *(errors.DuplicateTable, errors.DuplicateColumn, errors.DuplicateObject),
    *(errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedObject),
)

logger = logging.getLogger(__name__)


@contextmanager
def recording_if_done(
    connection,
    migration: Migration,
    record: Callable[[], object],
    *,
    undo_from: ProjectState | None = None,
) -> Iterator[None]:
    """Run the block, which makes the migration's changes in the current schema and records them.

    If they prove to be made already, call `record`, and log a line. If that can't be proved, raise
    HalfDone. A block that undoes the migration names the state before it in `undo_from`.
    """
    try:
        yield
    except ProgrammingError as error:
        if not is_about_existence(error):
            raise
        schema = connection.schema_name
        if not is_done(connection, migration, undo_from):
            raise HalfDone(describe(error, schema, migration, undo_from)) from error
        record()
        what = "undone" if undo_from else "made"
        logger.warning(f"{schema}: {migration} is only recorded: its changes were {what} before.")


def is_about_existence(error: ProgrammingError) -> bool:
    return isinstance(error.__cause__, SAYS_SO)


def is_done(connection, migration: Migration, undo_from: ProjectState | None) -> bool:
    """Return whether the current schema is exactly as the migration leaves it.

    Then undoing the migration and applying it again changes nothing. That is tried in a transaction
    which is rolled back. Only operations of Django's that change the app's own tables can be tried.
    """
    migration = in_one_transaction(migration)
    if not is_about_its_app(migration):
        return False
    state = undo_from or state_of(connection)
    there_and_back = [migration.unapply, migration.apply]
    if undo_from:
        there_and_back.reverse()
    try:
        with transaction.atomic(connection.alias):
            before = drift.fingerprints(connection, [connection.schema_name])
            for step in there_and_back:
                with connection.schema_editor() as editor:
                    step(state.clone(), editor)
            is_same = drift.fingerprints(connection, [connection.schema_name]) == before
            transaction.set_rollback(True, connection.alias)
    except Exception as error:  # an operation may raise anything if its objects are missing
        logger.debug(f"{migration} isn't done: {one_line(error)}")
        return False
    return is_same


def in_one_transaction(migration: Migration) -> Migration:
    """Return a copy that doesn't make or drop its indexes concurrently."""
    found = type(migration)(migration.name, migration.app_label)
    found.operations = [
        AddIndex(each.model_name, each.index)
        if type(each) is AddIndexConcurrently
        else RemoveIndex(each.model_name, each.name)
        if type(each) is RemoveIndexConcurrently
        else each
        for each in migration.operations
    ]
    return found


def state_of(connection) -> ProjectState:
    """Return the state after the recorded migrations."""
    executor = MigrationExecutor(connection)
    return executor._create_project_state(with_applied_migrations=True)


def describe(
    error: ProgrammingError, schema: str, migration: Migration, undo_from: ProjectState | None
) -> str:
    statement = next(iter(getattr(error, "__notes__", ())), "")
    if undo_from:
        earlier = [name for app, name in migration.dependencies if app == migration.app_label]
        done, name = "undone", max(earlier, default="zero")
    else:
        done, name = "made", migration.name
    command = f"manage.py migrate_schemas --fake --schema {schema} {migration.app_label} {name}"
    return (
        f"{one_line(error)}{f' ({statement})' if statement else ''}. If an earlier run has {done}"
        f" all changes of {migration}, `{command}` records that. If it has {done} a part, do the"
        " rest by hand first."
    )
