"""Migrating all tenants: with nothing to do, and with a field to add."""

import time

from benchmarks import fleet
from benchmarks.projects import BenchmarkError, seed
from benchmarks.rounds import interleaved

MIGRATION = """from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notes", "{before}")]
    operations = [migrations.AddField("note", "{field}", models.IntegerField(default=0))]
"""


def nothing_to_do(ours, theirs, rounds, their_rounds):
    """The seconds it takes to find out that no tenant has anything to migrate."""
    with ours.worker() as mine, theirs.worker() as other, ours.connect() as raw:
        mine.do("warm")
        other.do("warm")
        ways = {
            "ours": lambda at: mine.do("migrate"),
            "limit": lambda at: read(raw, ours),
            "theirs": lambda at: other.do("migrate"),
        }
        return interleaved(ways, rounds, their_rounds)


def read(connection, side):
    """Ask the database which tenant has which migrations, a thousand tenants in a query."""
    one = """SELECT '{0}', app, name FROM "{0}".django_migrations"""
    started = time.perf_counter()
    schemas = fleet.schemas(side)
    with connection.cursor() as cursor:
        for start in range(0, len(schemas), 1000):  # each table is locked
            some = schemas[start : start + 1000]
            cursor.execute(" UNION ALL ".join(one.format(schema) for schema in some))
            cursor.fetchall()
    return time.perf_counter() - started


def add_field(ours, theirs, rounds, their_rounds):
    """The seconds it takes to add a field, another one in each round: for the tenants, and for what
    a deployment does before, the public schema and in ours the blueprint."""
    seconds = {"limit": [], "ours": [], "theirs": []}
    before = {"ours": [], "theirs": []}
    for at in range(rounds):
        field = f"field_{time.time_ns()}"
        seconds["limit"].append(by_psql(ours, write_migration(ours, field), field))
        if at < their_rounds:
            write_migration(theirs, field)
        for side in [ours, theirs] if at < their_rounds else [ours]:
            shared, migrated = deployed(side, field)
            before[side.name].append(shared)
            seconds[side.name].append(migrated)
    return {"field": seconds, "shared": before}


def add_field_by_jobs(ours, jobs, rounds):
    """The seconds it takes to add a field, another in each round, to so many tenants at once."""
    seconds = []
    for _ in range(rounds):
        field = f"field_{time.time_ns()}"
        write_migration(ours, field)
        seconds.append(deployed(ours, field, jobs=jobs)[1])
    return seconds


def write_migration(side, field):
    """Add a migration of the notes that adds the field; return its name."""
    folder = side.project.path / ("server/notes" if side.name == "ours" else "notes") / "migrations"
    before = max(file.stem for file in folder.glob("0*.py"))
    name = f"{int(before[:4]) + 1:04}_{field}"
    (folder / f"{name}.py").write_text(MIGRATION.format(before=before, field=field))
    return name


def deployed(side, field, **options):
    """The seconds of both commands of a deployment; the second one has the options."""
    with side.worker() as worker:
        worker.do("warm")
        shared = worker.do("share")
        worker.do("warm")
        seconds = worker.do("migrate", **options)
    columns = side.query(
        "SELECT count(*) FROM pg_attribute WHERE attname = %s AND NOT attisdropped", field
    )
    if columns != [(len(fleet.schemas(side)),)]:
        raise BenchmarkError(f"{side.name}: {columns} tenants have {field}.")
    fleet.tidy(side)
    return shared, seconds


def by_psql(side, migration, field):
    """Let psql execute the same statements in all tenants; undo it, and return the seconds."""
    _begin, *statements, _commit = side.do("sql", schema=seed(side), migration=migration)
    schemas = fleet.schemas(side)
    script = "".join(
        f'BEGIN;\nSET LOCAL search_path = "{schema}", public;\n{" ".join(statements)}\n'
        "INSERT INTO django_migrations (app, name, applied)"
        f" VALUES ('notes', '{migration}', now());\nCOMMIT;\n"
        for schema in schemas
    )
    started = time.perf_counter()
    side.postgres("psql", "-Xq", "-v", "ON_ERROR_STOP=1", stdin=script)
    seconds = time.perf_counter() - started
    for some in fleet.batched(schemas):
        with side.connect() as connection, connection.cursor() as cursor:
            for schema in some:
                cursor.execute(
                    f'ALTER TABLE "{schema}".notes_note DROP COLUMN "{field}";'
                    f'DELETE FROM "{schema}".django_migrations WHERE name = %s',
                    [migration],
                )
    fleet.tidy(side)
    return seconds
