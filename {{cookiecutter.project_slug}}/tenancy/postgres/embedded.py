"""The private PostgreSQL of development and tests: `python -m tenancy.postgres.embedded start`.

It lives in a directory that only its owner can enter:

    data/      the cluster, with passwords.json; it gets this name once it is complete
    starting   locked by a process that starts or stops the server
    running    locked by the server's processes, until the last one ends
    log        the server's log (log.1: the log of the run before)
    port       the port of the last run

The lock on `running` shows that the server is alive. The kernel releases it when the last process
ends, so neither a zombie nor a reused process id is mistaken for a server. If the server is killed
while a query runs, the query's process keeps the lock, and no second server opens the data.
"""

import argparse
import contextlib
import fcntl
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from tenancy.exceptions import LocalPostgresError
from tenancy.postgres import programs
from tenancy.postgres.programs import PATIENCE, Binaries, run, without_root

DIRECTORY = Path(__file__).resolve().parents[2] / ".postgres"
HOST = "127.0.0.1"
ROLE = "server"
SUPERUSER = "postgres"
STOPPING = 600  # seconds; a server of 10,000 tenants writes for more than a minute

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    # Django reports the application's errors. The log has the server's own, and stays small.
    "log_min_messages": "log",
    "log_checkpoints": "off",
}


class Server(NamedTuple):
    pid: int
    port: int


def database(engine: str) -> dict[str, object]:
    """Return an entry for DATABASES. The backend calls SERVER before each connection."""
    start_server = functools.partial(start, postgis="postgis" in engine)
    # The server has no TLS, whatever PGSSLMODE demands for others.
    options = {"sslmode": "disable"}
    return {"ENGINE": engine, "NAME": ROLE, "OPTIONS": options, "SERVER": start_server}


@contextlib.contextmanager
def _os_errors_explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LocalPostgresError(f"The private PostgreSQL can't be used: {error}") from error


@_os_errors_explained()
def start(directory: Path = DIRECTORY, *, postgis: bool = False) -> dict[str, str | int]:
    """Start the server unless it runs, and return HOST, PORT, USER and PASSWORD for DATABASES.

    NAME is left out, because the test databases are on the same server. `postgis` adds the
    extension to the database and to all that are created later. Raises LocalPostgresError.
    """
    directory = Path(directory).absolute()
    server = _serving(directory)
    add_postgis = postgis and not _postgis_mark(directory).exists()
    if server is None or add_postgis or _has_lost_its_programs(directory):
        server = _start(directory, postgis=postgis)
    password = _passwords(directory)[ROLE]
    return {"HOST": HOST, "PORT": server.port, "USER": ROLE, "PASSWORD": password}


@_os_errors_explained()
def stop(directory: Path = DIRECTORY) -> bool:
    """Stop the server. Return False if it wasn't running. Raises LocalPostgresError."""
    directory = Path(directory).absolute()
    if not directory.exists():
        return False
    with _locked(directory / "starting"):
        server = _settled(directory)
        if server:
            _shut_down(directory, server)
    return server is not None


@_os_errors_explained()
def status(directory: Path = DIRECTORY) -> str | None:
    """Describe the running server in one line, or return None. Raises LocalPostgresError."""
    server = _serving(Path(directory).absolute())
    return server and f"PostgreSQL is running at {HOST}:{server.port} (process {server.pid})."


def _start(directory: Path, *, postgis: bool) -> Server:
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    with _locked(directory / "starting"):
        for unfinished in directory.glob("unfinished-*"):  # its starter was killed
            shutil.rmtree(unfinished, ignore_errors=True)
        server = _settled(directory)
        postgis_mark = _postgis_mark(directory)
        add_postgis = postgis and not postgis_mark.exists()
        if server and not add_postgis and not _has_lost_its_programs(directory):
            return server
        binaries = programs.find(directory / "data", postgis=postgis or postgis_mark.exists())
        if server:
            _shut_down(directory, server)
        if not (directory / "data").exists():
            _make_cluster(directory, binaries)
        server = _launch(directory, binaries)
        if add_postgis:
            for database in ("template1", ROLE):
                _create_postgis(directory, binaries, server, database)
            postgis_mark.touch()
        return server


def _serving(directory: Path) -> Server | None:
    """Return the server if it accepts connections."""
    try:
        pid, _, _, port, *_, state = (directory / "data/postmaster.pid").read_bytes().splitlines()
    except (FileNotFoundError, ValueError):
        return None
    ready = state.strip() == b"ready" and _is_locked(directory / "running")
    return Server(int(pid), int(port)) if ready and _is_postgres(int(pid)) else None


def _is_postgres(pid: int) -> bool:
    """False if the server was killed, even while one of its queries still holds the lock."""
    try:
        os.kill(pid, 0)
        process = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return True  # macOS has no /proc; launchd reaps zombies there
    except OSError:
        return False
    return b"(postgres)" in process and b") Z " not in process


def _has_lost_its_programs(directory: Path) -> bool:
    """True if the server's programs were deleted, e.g. because .venv has another Python now.

    Such a server still answers, but it can't load plpgsql, an extension or a time zone.
    """
    try:
        command = (directory / "data/postmaster.opts").read_bytes()
        Path(os.fsdecode(command.partition(b' "-D" ')[0])).stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False  # another user started it, from a folder that we can't enter
    return False


def _settled(directory: Path) -> Server | None:
    """Wait until the server accepts connections, or has ended. Return it, or None."""
    running = directory / "running"
    _wait_until(
        lambda: _serving(directory) or not _is_locked(running),
        f"PostgreSQL in {directory} neither answers nor ends. It may be recovering from a crash, "
        "or a query of a killed server may still be running. "
        f"See {directory / 'log'}; `lsof '{running}'` lists the processes.",
    )
    return _serving(directory)


def _shut_down(directory: Path, server: Server) -> None:
    os.kill(server.pid, signal.SIGINT)  # a fast shutdown, which doesn't wait for clients
    _wait_until(
        lambda: not _is_locked(directory / "running"),
        f"PostgreSQL in {directory} doesn't stop. See {directory / 'log'}.",
        patience=STOPPING,
    )


def _launch(directory: Path, binaries: Binaries) -> Server:
    log = directory / "log"
    with contextlib.suppress(FileNotFoundError):
        log.replace(directory / "log.1")
    for _ in range(3):
        port = _free_port(directory / "port")
        _spawn(directory, binaries, port)
        server = _settled(directory)
        if server:
            return server
        output = log.read_text(encoding="utf-8", errors="replace")
        if "could not bind" not in output:  # if so, the port was taken since we looked
            break
    raise LocalPostgresError(
        f"PostgreSQL didn't start: {programs.reason(output)}. Its log is {log}."
    )


def _spawn(directory: Path, binaries: Binaries, port: int) -> None:
    data = directory / "data"
    settings = [f"--{name}={value}" for name, value in (SETTINGS | {"port": port}).items()]
    server = [*without_root(directory), binaries.folder / "postgres", "-D", data, *settings]
    with _locked(directory / "running") as running, _private_file(directory / "log") as log:
        # We hold the lock, so no process of an earlier server is alive: this file is stale.
        (data / "postmaster.pid").unlink(missing_ok=True)
        # The shell exits at once and so orphans the server: the server outlives us, never becomes
        # our zombie, and gets no Ctrl-C from the terminal. It inherits the lock with the open file.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *server],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[running.fileno()],
            start_new_session=True,
            cwd="/",
            env=programs.environment(),
        )


def _free_port(saved: Path) -> int:
    """Return the saved port. If another program listens there, choose a new one and save it."""
    try:
        port = int(saved.read_text())
    except (FileNotFoundError, ValueError):
        port = 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    saved.write_text(str(port))
    return port


def _make_cluster(directory: Path, binaries: Binaries) -> None:
    account = programs.account_without_root(directory)
    programs.require_user_name(account[0] if account else os.geteuid())
    data = Path(tempfile.mkdtemp(prefix="unfinished-", dir=directory))
    if account:
        os.chown(data, *account)
    locale = ["--locale=C"]
    if binaries.version >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    elif sys.platform == "linux":
        locale += ["--lc-ctype=C.UTF-8"]
    options = ["-U", SUPERUSER, "--auth=reject", "--encoding=UTF8", *locale]
    with _runnable_initdb(binaries.folder) as initdb:
        run([*without_root(directory), initdb, "-D", data, *options])
    (data / "pg_hba.conf").write_text(f"host all all {HOST}/32 scram-sha-256\n")
    passwords = {name: secrets.token_urlsafe(24) for name in (ROLE, SUPERUSER)}
    with _private_file(data / "passwords.json") as file:
        json.dump(passwords, file)
    single_user = ["--single", "-D", data, "-c", "exit_on_error=on", "postgres"]
    run(
        [*without_root(directory), binaries.folder / "postgres", *single_user],
        stdin=f"ALTER ROLE {SUPERUSER} PASSWORD '{passwords[SUPERUSER]}';\n"
        f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{passwords[ROLE]}';\n"
        f"CREATE DATABASE {ROLE} OWNER {ROLE};\n",
    )
    data.rename(directory / "data")


@contextlib.contextmanager
def _runnable_initdb(folder: Path) -> Iterator[Path]:
    """Yield the path of initdb, or of a copy where initdb's path has characters special to a shell.

    initdb runs `postgres` through a shell, and only puts its path in double quotes.
    """
    if not set('"$`\\') & set(str(folder)):
        yield folder / "initdb"
        return
    package = folder.parent.parent
    with tempfile.TemporaryDirectory() as plain:
        for part in package.parent.glob(f"{package.name}*"):  # a wheel's libraries are beside it
            shutil.copytree(part, Path(plain) / part.name)
        yield Path(plain) / folder.relative_to(package.parent) / "initdb"


def _create_postgis(directory: Path, binaries: Binaries, server: Server, database: str) -> None:
    address = ["-h", HOST, "-p", str(server.port), "-U", SUPERUSER, "-d", database]
    run(
        [binaries.folder / "psql", "-X", *address, "-c", "CREATE EXTENSION IF NOT EXISTS postgis"],
        variables={"PGPASSWORD": _passwords(directory)[SUPERUSER]},
    )


def _postgis_mark(directory: Path) -> Path:
    return directory / "data/has_postgis"


def _passwords(directory: Path) -> dict[str, str]:
    return json.loads((directory / "data/passwords.json").read_text())


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with path.open("a") as file:
        _wait_until(lambda: _lock(file, fcntl.LOCK_EX), f"Another process keeps {path} locked.")
        yield file


def _is_locked(path: Path) -> bool:
    try:
        with path.open() as file:
            # A shared lock, so that processes that check at once don't block each other.
            return not _lock(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _private_file(path: Path) -> IO[str]:
    return open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600))


def _wait_until(
    condition: Callable[[], object], error: str, *, patience: int | None = None
) -> None:
    deadline = time.monotonic() + (patience or PATIENCE)
    while not condition():
        if time.monotonic() > deadline:
            raise LocalPostgresError(error)
        time.sleep(0.01)


def _main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tenancy.postgres.embedded")
    parser.add_argument("command", choices=("status", "start", "stop"))
    command = parser.parse_args().command
    if command == "stop":
        print("PostgreSQL stopped." if stop() else "PostgreSQL wasn't running.")
        return 0
    if command == "start":
        start()
    line = status()
    print(line or "PostgreSQL isn't running.")
    return 0 if line else 3  # as `pg_ctl status`


if __name__ == "__main__":
    try:
        sys.exit(_main())
    except LocalPostgresError as error:
        sys.exit(str(error))
