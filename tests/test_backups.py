"""The commands of docs/backups.md, docs/incidents.md and docs/uploads.md bring lost data back."""

import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from projects import UV, Project, copy_engine, wait_for
from test_documents import blocks
from test_production import DEPLOY

_copy = tempfile.TemporaryDirectory()
copy_engine(Path(_copy.name))
sys.path.insert(0, _copy.name)

from tenancy.postgres import programs  # noqa: E402

DOMAIN = "acme.example.com"
# The blocks that aren't run as they stand, by their beginning, and why.
NOT_TYPED = {
    "15 2 * * *": "cron and Docker; it runs `backup_all`",
    "docker compose": "Docker; the block above it is the same",
    "UPLOADS_URL=": "a variable, with which the engine's tests run on SeaweedFS",
    "aws s3 sync": "a bucket of Amazon's",
}
WRITE = """
from server.notes.models import Note
from server.tenants.models import Tenant
with Tenant.objects.get(slug="evilcorp") as tenant:
    Note.objects.create(text="Remember", author=tenant.owner)
"""
READ = """
from server.notes.models import Note
from server.tenants.models import Tenant
with Tenant.objects.get(slug="evilcorp"):
    print(*Note.objects.values_list("text", flat=True))
"""
LOSE = """
from server.notes.models import Note
from server.tenants.models import Tenant
with Tenant.objects.get(slug="evilcorp"):
    Note.objects.all().delete()
"""
SIGN_UP = """
from django.test import Client
print("by invitation" in Client(SERVER_NAME="acme.example.com").get("/account/signup/").text)
"""


class Site:
    def __init__(self, project):
        self.project = project

    def page(self, name):
        return (self.project.path / f"docs/{name}.md").read_text()

    def type(self, page, beginning, change=str, **env):
        """Run the block that begins so, and return what it printed."""
        [block] = [each for each in blocks(self.page(page)) if each.startswith(beginning)]
        return self.project.run("bash", "-e", "-c", change(block), **env).stdout

    def shell(self, code, **env):
        return self.project.manage("shell", "-v0", "-c", code, **env).stdout.strip()


@pytest.fixture(scope="module")
def site(acme, tmp_path_factory):
    folder = tmp_path_factory.mktemp("backups")
    project = acme.copy(folder / "acme")
    path = (Path(UV).parent, acme.path / ".venv/bin", os.environ["PATH"])
    project = Project(
        project.path,
        python=project.python,
        env=project.env
        | {
            "BACKUPS_URL": str(folder / "archives"),
            "DOMAIN": DOMAIN,
            "PATH": os.pathsep.join(map(str, path)),
            "UV_NO_SYNC": "1",
            "UV_PROJECT_ENVIRONMENT": str(acme.path / ".venv"),
        },
    )
    project.manage("init_tenant")
    project.manage("provision_tenant", "EvilCorp", "evilcorp", "org", "ada")
    site = Site(project)
    site.shell(WRITE)
    site.type("backups", "uv run manage.py backup_all")
    yield site
    project.postgres("stop")


TYPED = {
    "backups": (
        "uv run manage.py backup_all",
        "uv run manage.py archives",
        "uv run manage.py restore_drill",
        "uv run manage.py rename_tenant",
        "pg_dump",
        "createdb",
        "wal_level",
        "pg_basebackup",
        "restore_command",
    ),
    "incidents": (
        "uv run manage.py archives",
        "uv run manage.py end_sessions",
        "sed -i",
        "uv run manage.py suspend_tenant",
    ),
    "uploads": ("uv run manage.py check",),
}


@pytest.mark.parametrize("page", TYPED)
def test_each_block_is_typed_or_listed(site, page):
    for block in blocks(site.page(page)):
        assert block.startswith((*TYPED[page], *NOT_TYPED)), block


def test_the_drill_restores_each_tenant(site):
    assert "1 of 1 tenants can be restored." in site.type("backups", "uv run manage.py restore_dr")
    assert site.type("backups", "uv run manage.py archives").count(".zip") == 2


def test_lost_rows_come_back(site):
    site.shell(LOSE)

    assert "1 rows of notes_note are written" in site.type("incidents", "uv run manage.py archives")
    assert site.shell(READ) == "Remember"


def test_a_lost_tenant_comes_back(site):
    site.shell(LOSE)

    said = site.type("backups", "uv run manage.py rename_tenant")

    assert said.splitlines()[-1] == f"evilcorp.{DOMAIN}"
    assert site.shell(READ) == "Remember"


@pytest.fixture(scope="module")
def programs_of_postgresql(acme):
    """The folder of those that the project has."""
    find = "from tenancy.postgres import programs as p; print(p._wheel_folders()[0])"
    return acme.run(*acme.python, "-c", find).stdout.strip()


def test_a_lost_database_comes_back(site, programs_of_postgresql):
    server, _, _ = site.project.run(*site.project.python, "-c", DEPLOY).stdout.rpartition("/")
    server = server.strip('"\n')
    path = f"{programs_of_postgresql}{os.pathsep}{site.project.env['PATH']}"
    urls = {
        "DATABASE_URL": f"{server}/server",
        "SERVER_URL": f"{server}/postgres",
        "RESTORED_URL": f"{server}/restored",
    }
    kept = site.shell(READ)
    site.type("backups", "pg_dump", PATH=path, **urls)
    site.shell(LOSE)

    site.type("backups", "createdb", PATH=path, **urls)

    assert site.shell(READ) != kept
    assert site.shell(READ, DATABASE_URL=urls["RESTORED_URL"]) == kept


def test_all_sessions_end(site):
    assert "people are ended" in site.type("incidents", "uv run manage.py end_sessions --all")


def test_sign_up_is_closed(site):
    (site.project.path / ".env.production").unlink(missing_ok=True)  # another test's
    site.project.manage("make_env")

    def without_docker(block):
        return block[: block.index("docker compose")]

    assert site.shell(SIGN_UP) == "False"
    site.type("incidents", "sed -i", without_docker)
    made = (site.project.path / ".env.production").read_text()
    [line] = re.findall(r"^SIGN_UP=(.*)$", made, re.M)
    assert site.shell(SIGN_UP, SIGN_UP=line) == "True"


def test_one_tenant_stops(site):
    assert "is suspended" in site.type("incidents", "uv run manage.py suspend_tenant")
    site.project.manage("resume_tenant", "evilcorp")


def test_the_check_asks_the_bucket(site):
    url = "s3://key:secret@127.0.0.1:9/files?tls=off"
    site.project.run(
        UV, "pip", "install", "-q", "django-storages[s3]", *("-p", site.project.python[0])
    )
    [block] = [each for each in blocks(site.page("uploads")) if "check --deploy" in each]

    said = site.project.run("bash", "-c", block, check=False, UPLOADS_URL=url)

    assert said.returncode == 1
    assert "UPLOADS_URL: the bucket “files” can't be used" in said.stderr
    garbled = site.project.run("bash", "-c", block, check=False, UPLOADS_URL="s3://files")
    assert garbled.returncode == 1
    assert garbled.stderr.splitlines()[-1].startswith("UPLOADS_URL: write it like s3://KEY")
    assert len(garbled.stderr.splitlines()) == 1


# The log


class Server:
    """A PostgreSQL of its own, whose settings are those of the page."""

    def __init__(self, folder, bin_):
        self.folder, self.bin = folder, Path(bin_)
        self.account = programs.account_without_root(folder) or (os.getuid(), os.getgid())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self.process = None

    def command(self, *command):
        return [*programs.without_root(self.folder), *map(str, command)]

    def own(self, path):
        path.mkdir(exist_ok=True, mode=0o700)
        os.chown(path, *self.account)
        return path

    def start(self, data):
        options = ("-p", self.port, "-c", "listen_addresses=127.0.0.1")
        socketless = ("-c", "unix_socket_directories=")
        command = self.command(self.bin / "postgres", "-D", data, *options, *socketless)
        with (self.folder / f"{data.name}.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        wait_for(lambda: self.is_open() or self.process.poll() is not None)
        assert self.process.poll() is None, (self.folder / f"{data.name}.log").read_text()

    def is_open(self):
        return self.ask("SELECT NOT pg_is_in_recovery()", check=False) == "t"

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=60)

    def ask(self, sql, check=True):
        command = [self.bin / "psql", "-XAt", "-d", self.url, "-c", sql]
        said = subprocess.run(command, capture_output=True, text=True, check=check)
        return said.stdout.strip()


def test_a_database_comes_back_to_a_moment(site, programs_of_postgresql, tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server(folder, programs_of_postgresql)
    data, wal, base = (server.own(folder / name) for name in ("data", "wal", "base"))
    initdb = server.command(server.bin / "initdb", "-D", data, "-U", "postgres", "--auth=trust")
    subprocess.run(
        [*initdb, "--encoding=UTF8", "--locale=C"], check=True, cwd="/", capture_output=True
    )
    page = {block.split()[0]: block for block in blocks(site.page("backups"))}

    def written(name):
        return page[name].replace("/srv/wal", str(wal))

    try:
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(written("wal_level"))
        server.start(data)
        server.ask("CREATE TABLE kept (text text)")
        typed = page["pg_basebackup"].replace("=base", f"={base}")
        env = {"PATH": f"{server.bin}:{os.environ['PATH']}", "DATABASE_URL": server.url}
        subprocess.run(server.command("bash", "-ec", typed), check=True, env=env, cwd="/")
        server.ask("INSERT INTO kept VALUES ('before')")
        moment = server.ask("SELECT clock_timestamp()")
        server.ask("INSERT INTO kept VALUES ('after, by mistake')")
        server.stop()  # which archives the rest of the log
        lines = re.sub(r"(?<=recovery_target_time = ').*(?=')", moment, written("restore_command"))
        with (base / "postgresql.auto.conf").open("a") as conf:
            conf.write(lines)
        (base / "recovery.signal").touch()
        os.chown(base / "recovery.signal", *server.account)
        server.start(base)

        assert server.ask("SELECT text FROM kept") == "before"
    finally:
        server.stop()
