"""`migrate_schemas --jobs N` migrates several tenants at once, and is otherwise as without it."""

import signal
import threading

import pytest
from django.core.management import CommandError
from django.db import OperationalError, connection
from tenancy.database.base import DatabaseWrapper
from tenancy.fleet import run

from engine.test_fleet_faults import (
    ADD_COLOR,
    TWO_CATS,
    UNIQUE,
    WAYS,
    after_each_tenant,
    expect_all,
    expect_failure,
    until,
)

WAITING = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE wait_event = 'advisory' AND datname = current_database()"
)


def test_tenants_are_migrated_at_once(zoo):
    """Each of two tenants waits for the other."""
    canary, *others = zoo.schemas[:3]
    meeting = threading.Barrier(2, timeout=30)
    zoo.write("0002_color", ADD_COLOR)

    with after_each_tenant(lambda schema: schema in others and meeting.wait()):
        output = zoo.migrate(jobs=2)

    assert "4 migrated, 0 up to date, 0 failed" in output
    assert f"[1/4 (25%) fleet:{canary}] zoo.0002_color" in output
    assert sorted(output.count(f"fleet:{schema}] zoo.0002_color") for schema in others) == [1, 1]
    expect_all(zoo)


@pytest.mark.parametrize("more", WAYS)
def test_a_failure_stops_nobody_else(zoo, more):
    failed = zoo.schemas[1]
    zoo.sql(TWO_CATS, schema=failed)
    zoo.write("0002_unique", ADD_COLOR, UNIQUE, *more)

    reason = expect_failure(zoo, failed, jobs=3)

    assert "zoo.0002_unique: IntegrityError: could not create unique index" in reason
    zoo.sql("DELETE FROM zoo_animal", schema=failed)
    assert "1 migrated, 3 up to date, 0 failed" in zoo.migrate(jobs=3)
    expect_all(zoo)


def test_a_thread_without_a_connection_leaves_the_work_to_the_others(zoo, monkeypatch):
    """The server may have no more of them."""
    refused, ensure_connection = [], DatabaseWrapper.ensure_connection

    def refuse_first(self):
        if threading.current_thread() is not threading.main_thread() and not refused:
            refused.append(self)
            raise OperationalError("sorry, too many clients already")
        ensure_connection(self)

    zoo.write("0002_color", ADD_COLOR)
    monkeypatch.setattr(DatabaseWrapper, "ensure_connection", refuse_first)

    assert "4 migrated, 0 up to date, 0 failed" in zoo.migrate(jobs=2)
    assert len(refused) == 1
    expect_all(zoo)


def test_a_database_that_goes_away_ends_all(zoo, monkeypatch):
    canary, *others = zoo.schemas
    kill = "SELECT pg_terminate_backend(pg_backend_pid()) WHERE current_schema() <> '{}'"
    zoo.write("0002_color", ADD_COLOR, f'migrations.RunSQL("{kill.format(canary)}")')
    opened = []

    def server():
        opened.append(1)
        return {"PORT": port if len(opened) <= 2 else 1}

    def count_from_now(schema):
        if schema == canary:
            opened.clear()

    port = connection.settings_dict["PORT"]
    monkeypatch.setitem(connection.settings_dict, "SERVER", server)
    monkeypatch.setattr(run, "PATIENCE", 0)
    with after_each_tenant(count_from_now), pytest.raises(CommandError) as failure:
        zoo.migrate(jobs=2)
    monkeypatch.undo()
    connection.settings_dict["PORT"] = port
    connection.close()

    assert "not reached: " in str(failure.value)
    assert [zoo.applied(schema) for schema in others] == [["0001_initial"]] * 3


@pytest.mark.parametrize(("stop", "said"), [("send_signal", "KeyboardInterrupt"), ("kill", "")])
def test_nothing_hangs_when_it_is_stopped(zoo, stop, said):
    """Ctrl-C or SIGKILL. Two tenants wait for a lock; the next run finishes them."""
    canary = zoo.schemas[0]
    wait = f"SELECT pg_advisory_xact_lock(42) WHERE current_schema() <> '{canary}'"
    zoo.write("0002_color", ADD_COLOR, f'migrations.RunSQL("{wait}")')
    zoo.sql("SELECT pg_advisory_lock(42)")
    process = zoo.start("--jobs", "2")
    try:
        until(lambda: len(zoo.sql(WAITING)) == 2 or process.poll() is not None)
        getattr(process, stop)(*[signal.SIGINT] * (stop == "send_signal"))
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert said in output
    if said:
        until(lambda: not zoo.sql(WAITING))
    assert {tuple(zoo.applied(schema)) for schema in zoo.schemas[1:]} == {("0001_initial",)}

    zoo.sql("SELECT pg_advisory_unlock(42)")
    until(lambda: not zoo.sql(WAITING))
    zoo.migrate(jobs=2)

    expect_all(zoo)
    assert zoo.applied(zoo.schemas[3]) == ["0001_initial", "0002_color"]


def test_what_was_migrated_is_on_the_disk_in_the_end(zoo):
    """The tenants' transactions don't wait for it."""
    zoo.write("0002_color", ADD_COLOR)
    written = []

    def note(schema):
        written[:] = zoo.sql("SELECT pg_current_wal_insert_lsn()")

    with after_each_tenant(note):
        zoo.migrate()

    assert zoo.sql("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", *written) == [True]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"jobs": 0}, "1 or more"),
        ({"jobs": 2, "executor": "standard"}, "Only the executor “fleet” has --jobs"),
    ],
)
def test_jobs_that_make_no_sense(zoo, options, reason):
    with pytest.raises(CommandError, match=reason):
        zoo.migrate(**options)
