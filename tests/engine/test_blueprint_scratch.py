"""Where there are many tenants, the blueprint is dumped from a scratch database."""

import pytest
from django.db import connection
from server.tenants.models import Organization
from tenancy.fleet import scratch
from tenancy.models import Blueprint
from tenancy.schemas import blueprint

from engine.processes import start

DATABASES = "SELECT datname FROM pg_database WHERE datname LIKE 'blueprint-%'"
LOOK_AT_SHARED_ROWS = """
def look(apps, editor):
    if editor.connection.schema_name != "public":
        for each in apps.get_model("tenants", "Organization").objects.all()[:1]:
            apps.get_model("zoo", "Animal").objects.create(name=each.name[:20])
"""
NEED_SHARED_ROWS = """
def look(apps, editor):
    if editor.connection.schema_name != "public":
        name = apps.get_model("tenants", "Organization").objects.first().name
        apps.get_model("zoo", "Animal").objects.create(name=name[:20])
"""


@pytest.fixture
def many(monkeypatch):
    monkeypatch.setattr(scratch, "MANY", 0)


@pytest.mark.parametrize(
    ("code", "said"),
    [(LOOK_AT_SHARED_ROWS, False), (NEED_SHARED_ROWS, True)],
)
def test_rows_come_from_the_tenants_database(zoo, many, caplog, code, said):
    """A migration may look at shared rows. If it can't do without, no scratch database is used."""
    caplog.set_level("INFO", "tenancy")
    zoo.write("0002_look", "migrations.RunPython(look)", code=code)
    blueprint.key.cache_clear()

    zoo.migrate()

    [made] = Blueprint.objects.values_list("statements", flat=True)
    assert Organization.objects.first().name[:20] in made
    assert ("without a scratch database: AttributeError" in caplog.text) is said
    assert zoo.sql(DATABASES) == []


def test_a_database_that_cannot_be_reached_is_not_needed(committed_db, many, caplog, monkeypatch):
    """As behind a PgBouncer that doesn't know it, or where the role may create none."""
    caplog.set_level("INFO", "tenancy")
    settings = connection.settings_dict
    own, port = settings["NAME"], settings["PORT"]

    def server():
        return {"PORT": port if connection.settings_dict["NAME"] == own else 1}

    monkeypatch.setitem(settings, "SERVER", server)

    _, statements = scratch.dump_template()
    blueprint.drop_templates()

    assert any(statement.startswith("CREATE TABLE") for statement in statements)
    assert "without a scratch database: No connection to the database: " in caplog.text
    assert connection.settings_dict is settings
    with connection.cursor() as cursor:
        cursor.execute(DATABASES)
        assert cursor.fetchall() == []


def test_a_few_tenants_need_none(committed_db):
    assert not scratch.has_many_schemas()


def test_one_that_is_killed_is_cleaned_up_by_the_next(committed_db, many):
    stop = "input(print('ready', flush=True))"
    process = start(
        "from tenancy.fleet import scratch\n"
        f"scratch.dump.dump_sections = lambda name: {stop}\n"
        "scratch.dump_in_scratch()"
    )
    assert process.stdout.readline() == "ready\n"
    own = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(DATABASES)
        assert len(cursor.fetchall()) == 1
    process.kill()
    process.communicate()

    with scratch.scratch_database():
        assert connection.settings_dict["NAME"].startswith(scratch.prefix(own))
    blueprint.drop_templates()

    assert connection.settings_dict["NAME"] == own
    with connection.cursor() as cursor:
        cursor.execute(DATABASES)
        assert cursor.fetchall() == []
