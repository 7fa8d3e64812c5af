"""What is written down can be replayed under another name, and leaves no trace besides."""

from pathlib import Path

import pytest
from django.db import DataError, connection
from django_tenants.utils import schema_exists

from server import postgres_binaries
from server.tenants import snapshot
from server.tenants.schemas import drop_schema
from server.tenants.snapshot import NotWrittenDown, split
from tests.exotic.migrations import HOSTILE

TEMPLATE, COPY = f"blueprint-{'0' * 32}", "the-copy_00000000"


def execute(sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else None


@pytest.fixture
def template(transactional_db):
    """A schema with a table, and none yet that is called like its copy."""
    execute(f'CREATE SCHEMA "{TEMPLATE}" CREATE TABLE words (word text)')
    yield
    drop_schema(TEMPLATE)
    if schema_exists(COPY):
        drop_schema(COPY)


@pytest.fixture
def before(transactional_db):
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

    snapshot.replay(snapshot.write_down(TEMPLATE), TEMPLATE, COPY)

    rows = execute(f'SELECT word FROM "{COPY}".words')  # noqa: S608
    assert [word for (word,) in rows] == HOSTILE


@pytest.mark.usefixtures("template")
def test_a_replay_changes_no_setting_of_the_session(before):
    statements = snapshot.write_down(TEMPLATE)
    assert "SET LOCAL default_tablespace = '';" in statements

    snapshot.replay(statements, TEMPLATE, COPY)
    assert settings_in_force() == before


@pytest.mark.usefixtures("template")
def test_a_replay_that_fails_leaves_neither_a_setting_nor_a_schema(before):
    statements = [*snapshot.write_down(TEMPLATE), "SELECT 1 / 0;"]

    with pytest.raises(DataError, match="zero"):
        snapshot.replay(statements, TEMPLATE, COPY)
    assert settings_in_force() == before
    assert not schema_exists(COPY)


@pytest.mark.usefixtures("template")
def test_what_locks_the_users_comes_last():
    execute(f"""
        SET search_path = "{TEMPLATE}";
        CREATE TABLE a (
            id int PRIMARY KEY,
            owner bigint CONSTRAINT leaving REFERENCES public.users_user,
            other int CONSTRAINT staying REFERENCES a
        );
        COMMENT ON CONSTRAINT leaving ON a IS 'who';
        GRANT SELECT ON a TO PUBLIC;
    """)

    *others, leaving, comment = snapshot.write_down(TEMPLATE)
    assert "REFERENCES public.users_user" in leaving
    assert comment.startswith("COMMENT ON CONSTRAINT leaving")
    assert not any("public" in statement for statement in others)


@pytest.mark.usefixtures("template")
def test_without_pg_dump_the_package_is_named(monkeypatch):
    monkeypatch.delenv("LOCAL_POSTGRES_BIN", raising=False)
    monkeypatch.setattr(postgres_binaries, "_wheel_folders", list)
    monkeypatch.setattr(postgres_binaries, "_system_folders", lambda program: [])

    version = connection.pg_version // 10000
    with pytest.raises(NotWrittenDown, match=f"`apt install postgresql-client-{version}`"):
        snapshot.write_down(TEMPLATE)


@pytest.mark.usefixtures("template")
def test_a_pg_dump_that_is_refused_leaves_it_to_the_next(monkeypatch, tmp_path):
    refused = Path(tmp_path / "pg_dump")
    refused.write_text("#!/bin/sh\necho pg_dump: error: no TLS >&2; exit 1\n")
    refused.chmod(0o755)
    found = postgres_binaries.programs("pg_dump", version=connection.pg_version // 10000)

    monkeypatch.setattr(postgres_binaries, "programs", lambda *args, **kwargs: [refused, *found])
    assert snapshot.write_down(TEMPLATE)

    monkeypatch.setattr(postgres_binaries, "programs", lambda *args, **kwargs: [refused])
    with pytest.raises(NotWrittenDown, match="no TLS"):
        snapshot.write_down(TEMPLATE)


def test_no_older_pg_dump_is_used():
    assert postgres_binaries.programs("pg_dump", version=1)
    assert postgres_binaries.programs("pg_dump", version=1000) == []
