"""What is written down can be replayed under another name, and leaves no trace besides."""

from pathlib import Path

import pytest
from django.db import DataError, connection
from django_tenants.utils import schema_exists
from tenancy.exceptions import DumpFailed
from tenancy.postgres import programs
from tenancy.schemas import dump
from tenancy.schemas.ddl import drop_schema
from tenancy.schemas.dump import split

from engine.copies import execute
from engine.exotic.migrations import HOSTILE

TEMPLATE, COPY = f"blueprint-{'0' * 32}", "the-copy_00000000"


@pytest.fixture
def template(committed_db):
    """A schema with a table, and none yet that is called like its copy."""
    execute(f'CREATE SCHEMA "{TEMPLATE}" CREATE TABLE words (word text)')
    yield
    drop_schema(TEMPLATE)
    if schema_exists(COPY):
        drop_schema(COPY)


@pytest.fixture
def before(committed_db):
    """The settings of a connection on which nothing was replayed yet."""
    connection.close()
    return settings_in_force()


def settings_in_force():
    return execute("SELECT name, setting FROM pg_settings ORDER BY name")


def test_text_is_split_where_psql_would():
    statements = [
        *("SELECT 1;", "SELECT 'a;''b', \";\"\";\", E'\\';', E'\\\\';", "SELECT ';--';"),
        *("SELECT $$;$_$;$$, $a$;$$;$a$, $1;", "CREATE RULE r AS DO (SELECT 1; SELECT (2););"),
        "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 3; END;",
        "SELECT '\n\\restrict a\n-- no comment;\n';",
    ]
    text = "--\n-- a; comment\n--\n\n\\restrict x;'\n\n" + "\n-- it's\n\n".join(statements)

    assert list(split(f"{text}\n\n\\unrestrict x\n\n")) == statements


@pytest.mark.usefixtures("template")
def test_rows_come_back_to_the_letter():
    for word in HOSTILE:
        execute(f'INSERT INTO "{TEMPLATE}".words VALUES (%s)', [word])  # noqa: S608

    dump.replay(dump.dump_schema(TEMPLATE), TEMPLATE, COPY)

    rows = execute(f'SELECT word FROM "{COPY}".words')  # noqa: S608
    assert [word for (word,) in rows] == HOSTILE


@pytest.mark.usefixtures("template")
def test_a_replay_changes_no_setting_of_the_session(before):
    statements = dump.dump_schema(TEMPLATE)
    assert "SET LOCAL default_tablespace = '';" in statements

    dump.replay(statements, TEMPLATE, COPY)
    assert settings_in_force() == before


@pytest.mark.usefixtures("template")
def test_a_replay_that_fails_leaves_neither_a_setting_nor_a_schema(before):
    statements = [*dump.dump_schema(TEMPLATE), "SELECT 1 / 0;"]

    with pytest.raises(DataError, match="zero"):
        dump.replay(statements, TEMPLATE, COPY)
    assert settings_in_force() == before
    assert not schema_exists(COPY)


@pytest.mark.usefixtures("template")
def test_without_pg_dump_the_package_is_named(monkeypatch):
    monkeypatch.delenv("LOCAL_POSTGRES_BIN", raising=False)
    monkeypatch.setattr(programs, "_wheel_folders", list)
    monkeypatch.setattr(programs, "_system_folders", lambda program: [])

    version = connection.pg_version // 10000
    with pytest.raises(DumpFailed, match=f"`apt install postgresql-client-{version}`"):
        dump.dump_schema(TEMPLATE)


@pytest.mark.usefixtures("template")
def test_a_pg_dump_that_is_refused_leaves_it_to_the_next(monkeypatch, tmp_path):
    refused = Path(tmp_path / "pg_dump")
    refused.write_text("#!/bin/sh\necho pg_dump: error: no TLS >&2; exit 1\n")
    refused.chmod(0o755)
    found = programs.programs("pg_dump", version=connection.pg_version // 10000)

    monkeypatch.setattr(programs, "programs", lambda *args, **kwargs: [refused, *found])
    assert dump.dump_schema(TEMPLATE)

    monkeypatch.setattr(programs, "programs", lambda *args, **kwargs: [refused])
    with pytest.raises(DumpFailed, match="no TLS"):
        dump.dump_schema(TEMPLATE)


def test_no_older_pg_dump_is_used():
    assert programs.programs("pg_dump", version=1)
    assert programs.programs("pg_dump", version=1000) == []
