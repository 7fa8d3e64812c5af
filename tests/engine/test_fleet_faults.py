"""What goes wrong while the fleet migrates is one tenant's failure, and running again finishes."""

import io

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from django_tenants.signals import schema_migrated
from server.tenants.models import Tenant
from tenancy.fleet import run
from tenancy.locks import advisory_lock

from engine.processes import Fork
from engine.signals import connected
from engine.zoo import ADD_COLOR, CATALOG, CREATE_ANIMAL

UNIQUE = 'migrations.AlterField("animal", "name", models.CharField(max_length=20, unique=True))'
TWO_CATS = "INSERT INTO zoo_animal (name) VALUES ('cat'), ('cat')"
# Both ways: what is replayed, and what is done operation by operation.
WAYS = [[], ["migrations.RunPython(lambda apps, editor: None)"]]


def after_each_tenant(function):
    """Inside, `function` is called with the schema of each tenant that has been migrated."""
    return connected(lambda schema_name, **kwargs: function(schema_name), schema_migrated)


def expect_failure(zoo, failed, **options) -> str:
    """The other tenants get the color; running again tries only the one that failed."""
    with pytest.raises(CommandError) as failure:
        zoo.migrate(**options)
    assert str(failure.value).startswith("1 of 4 tenants failed")
    for schema in zoo.schemas:
        if schema != failed:
            assert "0002" in str(zoo.applied(schema))
            assert "color" in zoo.columns(schema)
    return next(line for line in str(failure.value).splitlines() if failed in line)


def expect_all(zoo):
    assert len({tuple(zoo.applied(schema)) for schema in zoo.schemas}) == 1
    assert len({tuple(zoo.catalog(schema)) for schema in zoo.schemas}) == 1


@pytest.mark.parametrize("more", WAYS)
def test_a_tenant_s_data(zoo, more):
    failed = zoo.schemas[2]
    zoo.sql(TWO_CATS, schema=failed)
    zoo.write("0002_unique", ADD_COLOR, UNIQUE, *more)

    reason = expect_failure(zoo, failed)

    assert "zoo.0002_unique: IntegrityError: could not create unique index" in reason
    assert zoo.columns(failed) == ["id", "name"]
    zoo.sql("DELETE FROM zoo_animal", schema=failed)
    assert "1 migrated, 3 up to date, 0 failed" in zoo.migrate()
    expect_all(zoo)


def test_a_canary_stops_its_cohort_only(zoo):
    first, second, third, fourth = zoo.schemas
    zoo.write("0002_color", ADD_COLOR)
    for schema in (third, fourth):
        zoo.migrate(schema_name=schema)
    zoo.sql(TWO_CATS, schema=first)
    zoo.write("0003_unique", UNIQUE)

    with pytest.raises(CommandError) as failure:
        zoo.migrate()

    assert f"{first}: zoo.0003_unique: IntegrityError" in str(failure.value)
    assert f"not touched, because their canary failed: {second}" in str(failure.value)
    assert zoo.applied(second) == ["0001_initial"]
    assert (
        zoo.applied(third) == zoo.applied(fourth) == ["0001_initial", "0002_color", "0003_unique"]
    )


def test_a_history_that_contradicts_itself(zoo):
    failed = zoo.schemas[1]
    zoo.write("0002_color", ADD_COLOR)
    zoo.write("0003_more")
    zoo.sql(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('zoo', '0003_more', now())",
        schema=failed,
    )

    assert "InconsistentMigrationHistory: Migration zoo.0003" in expect_failure(zoo, failed)


def test_migrations_that_cannot_be_loaded(zoo):
    first, *others = zoo.schemas
    zoo.write("0002_color", ADD_COLOR, after="0009_nowhere")
    output = io.StringIO()

    with pytest.raises(CommandError) as failure:
        zoo.migrate(stdout=output)

    assert "0 migrated, 0 up to date, 1 failed, 3 not touched" in output.getvalue()
    assert str(failure.value).startswith("1 of 4 tenants failed")
    assert f"{first}: NodeNotFoundError" in str(failure.value)
    assert f"not touched, because their canary failed: {', '.join(others)}" in str(failure.value)


@pytest.mark.parametrize("more", WAYS)
def test_a_schema_that_is_dropped_meanwhile(zoo, monkeypatch, more):
    failed = zoo.schemas[2]
    zoo.write("0002_color", ADD_COLOR, *more)
    options = connection.settings_dict["OPTIONS"]
    monkeypatch.setitem(options, "options", "-c lock_timeout=2000")
    connection.close()
    other = connection.copy()

    def drop(schema):
        if schema == zoo.schemas[1]:
            zoo.sql(f'DROP SCHEMA "{failed}" CASCADE')

    zoo.sql("CREATE TABLE zoo_animal (id int)")
    try:
        # Who waits for this has taken public's table for the tenant's.
        with after_each_tenant(drop), other.cursor() as cursor:
            cursor.execute("BEGIN; LOCK TABLE zoo_animal")
            reason = expect_failure(zoo, failed)
    finally:
        other.close()
        zoo.sql("DROP TABLE zoo_animal")

    assert f'ProgrammingError: schema "{failed}" does not exist' in reason


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("more", WAYS)
def test_a_table_that_only_public_has_stays_as_it_is(zoo, index, more):
    failed = zoo.schemas[index]
    zoo.sql("DROP TABLE zoo_animal", schema=failed)
    zoo.sql("CREATE TABLE zoo_animal (name text)")
    before = zoo.sql(CATALOG, "public")
    zoo.write("0002_unique", UNIQUE, *more)
    try:
        with pytest.raises(CommandError) as failure:
            zoo.migrate()
        assert zoo.sql(CATALOG, "public") == before
    finally:
        zoo.sql("DROP TABLE zoo_animal")

    assert f"{failed}: zoo.0002_unique: PublicWouldChange: {failed} lacks" in str(failure.value)
    assert zoo.applied(failed) == ["0001_initial"]


def test_a_tenant_without_a_schema(zoo):
    failed = zoo.schemas[1]
    zoo.sql(f'DROP SCHEMA "{failed}" CASCADE')
    zoo.write("0002_color", ADD_COLOR)

    assert f"{failed}: there is no such schema" in zoo.migrate(plan=True)
    assert "there is no such schema" in expect_failure(zoo, failed)


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_database_that_is_away(zoo, monkeypatch, comes_back):
    canary, killed, *rest = zoo.schemas
    kill = f"SELECT pg_terminate_backend(pg_backend_pid()) WHERE current_schema() = '{killed}'"
    zoo.write("0002_color", ADD_COLOR, f'migrations.RunSQL("{kill}")')
    port = connection.settings_dict["PORT"]
    ports = []  # of the next connections

    def go_away(schema):
        if schema == canary:
            ports.extend([1, 1, port if comes_back else 1])

    monkeypatch.setitem(
        connection.settings_dict, "SERVER", lambda: {"PORT": ports.pop(0) if ports else port}
    )
    monkeypatch.setattr(run, "PATIENCE", 30 if comes_back else 0)
    with after_each_tenant(go_away), pytest.raises(CommandError) as failure:
        zoo.migrate()
    connection.close()
    ports.clear()

    assert f"{killed}: zoo.0002_color: OperationalError" in str(failure.value)
    left = f"not reached: {', '.join(rest)}"
    assert (left in str(failure.value)) != comes_back
    last = "0002_color" if comes_back else "0001_initial"
    assert [zoo.applied(schema)[-1] for schema in rest] == [last, last]
    zoo.write("0002_color", ADD_COLOR, after="0001_initial")
    zoo.migrate()
    expect_all(zoo)


def test_a_migration_that_exits(zoo):
    failed = zoo.schemas[2]
    code = (
        "def leave(apps, editor):\n"
        f"    if connection.schema_name == {failed!r}:\n"
        "        raise SystemExit(3)\n"
    )
    zoo.write("0002_exit", ADD_COLOR, "migrations.RunPython(leave)", code=code)

    assert "SystemExit: 3" in expect_failure(zoo, failed)


def test_a_process_that_is_killed(zoo):
    stuck = zoo.schemas[2]
    wait = f"SELECT pg_advisory_xact_lock(42) WHERE current_schema() = '{stuck}'"
    zoo.write("0002_color", ADD_COLOR, f'migrations.RunSQL("{wait}")')
    waiting = (  # not in the database of another process of the tests
        "SELECT pid FROM pg_stat_activity"
        " WHERE wait_event = 'advisory' AND datname = current_database()"
    )
    zoo.sql("SELECT pg_advisory_lock(42)")
    process = zoo.start()
    try:
        until(lambda: zoo.sql(waiting) or process.poll() is not None)
    finally:
        process.kill()
        process.communicate()
    [backend] = zoo.sql(waiting)
    assert [zoo.applied(schema)[-1] for schema in zoo.schemas] == ["0002_color"] * 2 + [
        "0001_initial"
    ] * 2

    zoo.sql("SELECT pg_advisory_unlock(42)")
    until(lambda: not zoo.sql("SELECT 1 FROM pg_stat_activity WHERE pid = %s", backend))
    zoo.migrate()

    expect_all(zoo)
    assert zoo.applied(stuck) == ["0001_initial", "0002_color"]


def until(condition):
    while not condition():
        connection.ensure_connection()


@pytest.mark.parametrize("more", WAYS)
def test_what_somebody_else_applied_meanwhile_is_not_applied_twice(zoo, more):
    failed = zoo.schemas[2]
    zoo.write(
        "0002_color",
        ADD_COLOR,
        f'migrations.RunSQL("{TWO_CATS}, (1)")'.replace(
            "(name) VALUES ('cat'), ('cat'), (1)", "(name, color) VALUES ('cat', '')"
        ),
        *more,
    )

    def migrate(schema):
        if schema == zoo.schemas[1]:
            zoo.migrate(schema_name=failed, verbosity=0)

    with after_each_tenant(migrate):
        assert "0002_color was applied by somebody else" in expect_failure(zoo, failed)

    assert zoo.sql("SELECT count(*) FROM zoo_animal", schema=failed) == [1]
    assert zoo.applied(failed) == ["0001_initial", "0002_color"]


@pytest.mark.parametrize(("index", "more"), [(0, []), (2, []), (2, ["0003_color"])])
def test_permissions_that_could_not_be_made_come_with_the_next_run(zoo, index, more):
    failed = zoo.schemas[index]
    zoo.sql(
        "ALTER TABLE auth_permission ADD CONSTRAINT locked CHECK (false) NOT VALID", schema=failed
    )
    zoo.write("0002_cage", CREATE_ANIMAL.replace("Animal", "Cage"))

    with pytest.raises(CommandError, match=f"{failed}: .*IntegrityError"):
        zoo.migrate()

    zoo.sql("ALTER TABLE auth_permission DROP CONSTRAINT locked", schema=failed)
    for name in more:
        zoo.write(name, ADD_COLOR)
    zoo.migrate()
    expect_all(zoo)
    assert "add_cage" in zoo.catalog(failed)


def test_a_change_and_its_record_are_one_transaction(zoo):
    canary, drifted, *_ = zoo.schemas
    zoo.sql("ALTER TABLE zoo_animal ADD COLUMN legs int", schema=drifted)
    key = '("one", models.ForeignKey("zoo.animal", models.CASCADE))'  # is made at the end
    zoo.write(
        "0002_cage", CREATE_ANIMAL.replace("Animal", "Cage").replace('("name"', f'{key}, ("name"')
    )

    zoo.migrate(canary=canary)

    for schema in zoo.schemas:
        changes = zoo.sql(
            "SELECT xmin::text FROM pg_constraint WHERE conrelid = 'zoo_cage'::regclass UNION"
            " SELECT xmin::text FROM django_migrations WHERE name = '0002_cage'",
            schema=schema,
        )
        assert len(changes) == 1


def test_a_tenant_that_is_made_meanwhile(zoo):
    zoo.write("0002_color", ADD_COLOR)
    first = Tenant.all_objects.get(slug="first")

    def make(schema):
        if schema == zoo.schemas[1]:
            zoo.add("zoo-x_00000000", first)

    with after_each_tenant(make):
        zoo.migrate()

    assert zoo.applied("zoo-x_00000000") == ["0001_initial", "0002_color"]


def test_two_at_once(zoo):
    first, second, _, failed = zoo.schemas
    zoo.sql(TWO_CATS, schema=failed)
    zoo.write("0002_unique", UNIQUE)
    with advisory_lock("migrate_schemas"):
        process = zoo.start()
        assert "Another migrate_schemas is running" in process.stdout.readline()
        zoo.migrate(schema_name=first)  # as for a tenant that is being made
        assert zoo.applied(second) == ["0001_initial"]
    output, _ = process.communicate()

    assert "2 migrated, 1 up to date, 1 failed" in output
    assert f"{failed}: zoo.0002_unique: IntegrityError" in output
    assert "Traceback" not in output
    assert process.returncode == 1


def test_nothing_stays_set(zoo):
    def settings():  # Citus loads plpgsql, which has some
        return zoo.sql(
            "SELECT name || ' ' || setting FROM pg_settings"
            " WHERE NOT starts_with(name, 'plpgsql.') ORDER BY 1"
        )

    connection.close()
    before = settings()
    move = "SELECT set_config('search_path', 'nowhere', false)"
    zoo.write("0002_color", ADD_COLOR)
    zoo.write("0003_move", f'migrations.RunSQL("{move}")')

    zoo.migrate()

    assert settings() == before
    expect_all(zoo)


def test_a_bar_in_a_terminal(zoo):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    zoo.write("0002_color", ADD_COLOR)
    terminal = Terminal()

    zoo.migrate(stdout=terminal)

    assert f"[{'#' * 15:30}] 2/4 {zoo.schemas[1]}" in terminal.getvalue()


KEY = '("one", models.ForeignKey("zoo.animal", models.CASCADE))'  # its constraint comes at the end
CREATE_CAGE = CREATE_ANIMAL.replace("Animal", "Cage").replace('("name"', f'{KEY}, ("name"')
HAS_CAGE = "SELECT FROM pg_tables WHERE schemaname = '{}' AND tablename = 'zoo_cage'"
CONCURRENTLY = 'AddIndexConcurrently("animal", models.Index("name", name="by_name"))'
NOTHING = "def nothing(apps, editor): pass"
# Stops after the commit that makes the change.
STOP = """
from django.core.management import call_command
from django.db.backends.base.base import BaseDatabaseWrapper
commit = BaseDatabaseWrapper._commit
def stop(self):
    with self.connection.cursor() as cursor:
        cursor.execute({change!r})
        [changed] = cursor.fetchone()
    commit(self)
    if changed:
        input(print("ready", flush=True))
BaseDatabaseWrapper._commit = stop
call_command("migrate_schemas", "zoo", *{target}, verbosity=0, **{options})
"""


@pytest.fixture
def shared(zoo):
    """The zoo's app is in the public schema, too."""
    with override_settings(SHARED_APPS=[*settings.SHARED_APPS, "zoo"]):
        zoo.migrate("zoo", tenant=False)
        yield "public"
    zoo.sql("DROP TABLE IF EXISTS zoo_cage, zoo_animal")


@pytest.mark.parametrize(
    ("where", "options"),
    [
        ("public", {"shared": True}),
        ("tenant", {"tenant": True}),
        ("tenant", {"tenant": True, "executor": "standard"}),
        ("tenant", {"tenant": True, "fake_initial": True}),
    ],
)
def test_whatever_commit_a_process_is_killed_after_the_next_run_finishes(
    zoo, request, where, options
):
    """R1: forwards and backwards, in public and in a tenant, by each executor."""
    schema = request.getfixturevalue("shared") if where == "public" else zoo.schemas[0]
    # With Python in it, the next run can't find out what was done.
    zoo.write("0002_cage", CREATE_CAGE, "migrations.RunPython(nothing, nothing)", code=NOTHING)
    for target, change in (("0002", "EXISTS"), ("0001", "NOT EXISTS")):
        change = f"SELECT {change} ({HAS_CAGE.format(schema)})"
        process = Fork(STOP.format(change=change, target=[target], options=options))
        said = process.stdout.readline()
        process.kill()
        assert said == "ready\n", process.communicate()[1]
        process.communicate()

        zoo.migrate("zoo", target, **{"tenant": False} | options)

        assert zoo.applied(schema)[-1].startswith(target)
        assert zoo.sql(change) == [True]


def half_record(zoo, schema, sql=""):
    """Leave a migration made and not recorded, as Django did when it was killed."""
    zoo.sql("DELETE FROM django_migrations WHERE name = '0002_cage'", schema=schema)
    zoo.sql(sql or "SELECT 1", schema=schema)


@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize("options", [{}, {"executor": "standard"}])
def test_what_was_made_and_not_recorded_is_recorded(zoo, index, options, caplog):
    """R1: a fleet that an earlier version left half recorded is finished by running again."""
    half = zoo.schemas[index]
    zoo.write("0002_cage", CREATE_CAGE, ADD_COLOR, CONCURRENTLY, atomic=False)
    zoo.migrate(schema_name=half, verbosity=0)
    zoo.sql("INSERT INTO zoo_animal (name, color) VALUES ('cat', '')", schema=half)
    half_record(zoo, half)

    zoo.migrate(**options)

    expect_all(zoo)
    assert f"{half}: zoo.0002_cage is only recorded: its changes were made before." in caplog.text
    assert zoo.sql("SELECT name FROM zoo_animal", schema=half) == ["cat"]


def test_what_was_made_in_public_and_not_recorded_is_recorded(zoo, shared, caplog):
    """R1: the public schema's migrations, too, and those that were undone."""
    zoo.write("0002_cage", CREATE_CAGE)
    zoo.migrate("zoo", tenant=False)
    half_record(zoo, shared)

    assert "FAKED" in zoo.migrate("zoo", tenant=False)

    assert zoo.applied(shared) == ["0001_initial", "0002_cage"]
    zoo.sql("DROP TABLE zoo_cage")
    zoo.migrate("zoo", "0001", tenant=False)
    assert zoo.applied(shared) == ["0001_initial"]
    assert "zoo.0002_cage is only recorded: its changes were undone before." in caplog.text


AND_AN_INDEX = 'migrations.AddIndex("cage", models.Index("name", name="cage_name"))'
TWO = CONCURRENTLY, CONCURRENTLY.replace("by_name", "by_name_too")


@pytest.mark.parametrize(
    ("operations", "left", "statement"),
    [
        ([CREATE_CAGE, AND_AN_INDEX], "DROP INDEX cage_name", 'CREATE TABLE "zoo_cage"'),
        ([CREATE_CAGE], "ALTER TABLE zoo_cage ALTER name TYPE text", 'CREATE TABLE "zoo_cage"'),
        (TWO, "DROP INDEX by_name_too", 'CREATE INDEX CONCURRENTLY "by_name"'),
        ([CREATE_CAGE, *WAYS[1]], "", 'CREATE TABLE "zoo_cage"'),
    ],
)
@pytest.mark.parametrize("index", [0, 2])
def test_what_was_made_in_part_is_named(zoo, index, operations, left, statement):
    """R1: with the failing statement and a command that helps; nothing is faked unasked."""
    half = zoo.schemas[index]
    zoo.write("0002_cage", *operations, atomic=operations is not TWO)
    zoo.migrate(schema_name=half, verbosity=0)
    half_record(zoo, half, left)

    with pytest.raises(CommandError) as failure:
        zoo.migrate()

    [reason] = [line for line in str(failure.value).splitlines() if f"{half}: zoo.0002" in line]
    assert statement in reason
    command = f"manage.py migrate_schemas --fake --schema {half} zoo 0002_cage"
    assert command in reason
    assert zoo.applied(half) == ["0001_initial"]
    call_command(*command.split()[1:], verbosity=0)
    zoo.migrate()
    assert zoo.applied(half) == ["0001_initial", "0002_cage"]
    assert all(zoo.applied(schema)[-1] == "0002_cage" for schema in zoo.schemas)


def test_most_that_are_half_done_do_not_stop_the_others(zoo):
    """R1: the canary was one of them, and failed."""
    zoo.write("0002_cage", CREATE_CAGE, *WAYS[1])
    *half, sound = zoo.schemas
    for schema in half:
        zoo.migrate(schema_name=schema, verbosity=0)
        half_record(zoo, schema)

    with pytest.raises(CommandError, match=f"{half[0]}: zoo.0002_cage") as failure:
        zoo.migrate()

    assert f"their canary failed: {', '.join(half[1:])}" in str(failure.value)
    assert zoo.applied(sound) == ["0001_initial", "0002_cage"]
    assert [zoo.applied(schema) for schema in half] == [["0001_initial"]] * 3
