"""What many bare schemas need: `uv run --group benchmarks python -m benchmarks.simulation`.

It has a PostgreSQL server of its own, with nothing but schemas that are made from the statements of
a project's blueprint. At each size it prints a line of JSON: bytes, files, and the time of what a
server or its operator does with all of it. With `--old FOLDER`, the programs of an older version of
PostgreSQL, the server is of that version in the end, and pg_upgrade makes it a new one.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from benchmarks import projects

SIZES = 1000, 3000, 10_000
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "autovacuum_naptime": "10s",
    "max_locks_per_transaction": "64",  # the default, by which pg_dump of everything fails
}
ENOUGH_LOCKS = "8192"
ROUNDS = 4  # of the autovacuum, while nobody does anything

CATALOG = """
    SELECT relname, pg_total_relation_size(oid) FROM pg_class
    WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'
"""
COUNTS = {
    "relations": "SELECT count(*) FROM pg_class",
    "columns": "SELECT count(*) FROM pg_attribute",
    "bytes": "SELECT pg_database_size(current_database())",
    "with_statistics": "SELECT count(*) FROM pg_stat_all_tables",
}
# What operators' tools ask.
QUESTIONS = {
    "list schemas": "SELECT nspname FROM pg_namespace ORDER BY 1",
    "read pg_stat_all_tables": "SELECT sum(n_live_tup) FROM pg_stat_all_tables",
    "sizes of all schemas": "SELECT relnamespace, sum(pg_total_relation_size(oid)) FROM pg_class"
    " WHERE relkind = 'r' GROUP BY 1",
    "sum of relpages": "SELECT relnamespace, sum(relpages) FROM pg_class GROUP BY 1",
}
# Debian's PostgreSQL 15.20 gives each column an option that version 18 doesn't know, and gives it
# anew after RESET.
FORGET_OPTION = """
    SET allow_system_table_mods = on;
    UPDATE pg_attribute SET attoptions =
        nullif(ARRAY(SELECT o FROM unnest(attoptions) o WHERE o NOT LIKE 'pg_attver=%'), '{}')
    WHERE attoptions::text LIKE '%pg_attver=%'
"""
# The server refuses to run as root.
USER = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}


class ProgramError(Exception):
    """A program ended with an error; the text is its last line."""


@dataclass
class Server:
    programs: Path
    data: Path
    port: int

    def run(self, program, *arguments, **options):
        """Run one of PostgreSQL's programs; return the seconds it took. Raises ProgramError."""
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PGUSER": "postgres"}
        env |= {"PGHOST": "127.0.0.1", "PGPORT": str(self.port)}
        started = time.perf_counter()
        done = subprocess.run(
            [
                found if (found := self.programs / program).exists() else program,
                *map(str, arguments),
            ],
            cwd=self.data.parent,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            **USER,
            **options,
        )
        if done.returncode:
            raise ProgramError(done.stdout.strip() or program)
        return time.perf_counter() - started

    def init(self):
        self.run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "--data-checksums")

    def start(self, **changes):
        settings = {**SETTINGS, "port": self.port, **changes}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = self.data.parent / f"{self.data.name}.log"
        return self.run(
            "pg_ctl", "-D", self.data, "-w", "-t", 3600, "-l", log, "-o", options, "start"
        )

    def stop(self, mode="fast"):
        return self.run("pg_ctl", "-D", self.data, "-w", "-t", 3600, "-m", mode, "stop")

    def pid(self):
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def kill(self):
        """Let the server end as the machine would by losing its power, and wait until it's gone."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        for child in children(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.05)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    @contextlib.contextmanager
    def cursor(self):
        at = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": "postgres"}
        with contextlib.closing(psycopg2.connect(**at)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    def ask(self, query):
        with self.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else None


def children(pid):
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                yield int(status.parent.name)


def used_by_the_dead(pid):
    """The processor seconds of the server's processes that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def grow(server, blueprint, first, last):
    """Make schemas, a hundred with each connection; return the seconds that each took."""
    template, statements = blueprint
    text = "\n".join([f'CREATE SCHEMA "{template}";', *statements])
    started = time.perf_counter()
    for start in range(first, last, 100):
        with server.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off; SET check_function_bodies = off")
            for number in range(start, min(start + 100, last)):
                cursor.execute(text.replace(template, f"t{number}_{number:08x}"))
    return (time.perf_counter() - started) / max(last - first, 1)


def measure(server, folder):
    """What the server needs at its present size."""
    found = {name: server.ask(query)[0][0] for name, query in COUNTS.items()}
    sizes = dict(server.ask(CATALOG))
    found["catalog"] = sum(map(int, sizes.values()))
    found["largest"] = {n: int(sizes[n]) for n in sorted(sizes, key=sizes.get)[-5:]}
    found["files"] = sum(len(files) for _, _, files in os.walk(server.data / "base"))
    print("counted", file=sys.stderr)
    found["vacuum analyze"] = server.run("vacuumdb", "-az", "--jobs=2")
    found["asked"] = {name: timed(lambda q=q: server.ask(q)) for name, q in QUESTIONS.items()}
    found["autovacuum round"] = autovacuum_round(server)
    print("vacuumed", file=sys.stderr)

    found["pg_dump, 64 locks"] = pg_dump(server, folder)
    found["stop"] = server.stop()
    stats = server.data / "pg_stat" / "pgstat.stat"
    found["statistics file"] = stats.stat().st_size if stats.exists() else 0
    found["start"] = server.start(max_locks_per_transaction=ENOUGH_LOCKS)
    found[f"pg_dump, {ENOUGH_LOCKS} locks"] = pg_dump(server, folder)
    dump = folder / "dump"
    if dump.exists():
        found["dump"] = dump.stat().st_size
        server.ask("CREATE DATABASE restored")
        found["pg_restore"] = server.run("pg_restore", "--jobs=2", "--dbname=restored", dump)
        server.ask("DROP DATABASE restored")
        dump.unlink()
    print("dumped", file=sys.stderr)

    copy = folder / "copy"
    found["pg_basebackup"] = server.run("pg_basebackup", "-D", copy, "-c", "fast", "-X", "stream")
    found["rm"] = timed(lambda: shutil.rmtree(copy))
    print("backed up", file=sys.stderr)

    for method in "fsync", "syncfs":
        server.ask("CHECKPOINT")
        server.kill()
        found[f"recovery, {method}"] = server.start(recovery_init_sync_method=method)
    return found


def timed(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def autovacuum_round(server):
    """The processor seconds that a round of the autovacuum takes when there is nothing to do."""
    pid, before = server.pid(), used_by_the_dead(server.pid())
    time.sleep(ROUNDS * int(SETTINGS["autovacuum_naptime"].rstrip("s")))
    return (used_by_the_dead(pid) - before) / ROUNDS


def pg_dump(server, folder):
    """The seconds of a dump of the whole database, or the line by which it failed."""
    try:
        return server.run("pg_dump", "-Fc", "-Z1", "-f", folder / "dump", "postgres")
    except ProgramError as error:
        return str(error).splitlines()[0]


def upgrade(old, new, folder):
    """Let pg_upgrade make a cluster of the new version by links; return the seconds, or why not."""
    new.init()
    try:
        return new.run(
            "pg_upgrade",
            *("--link", "-b", old.programs, "-B", new.programs, "-d", old.data, "-D", new.data),
            *("-p", old.port, "-P", new.port, "-U", "postgres", "--socketdir", folder),
            *("-o", f"-c max_locks_per_transaction={ENOUGH_LOCKS}"),
            *("-O", f"-c max_locks_per_transaction={ENOUGH_LOCKS}"),
        )
    except ProgramError as error:
        return "\n".join([str(error), *complaints(new.data / "pg_upgrade_output.d")])


def complaints(folder):
    """The errors that pg_upgrade's logs name, which it leaves there when it fails."""
    for log in sorted(folder.rglob("*.log"), key=lambda log: log.stat().st_mtime):
        for line in log.read_text().splitlines():
            if re.search(r"\b(error|FATAL|PANIC):", line, re.IGNORECASE):
                yield f"{log.name}: {line}"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def blueprint_of(side):
    """The template's name and the statements."""
    [(name, text)] = side.query("SELECT template_name, statements FROM tenancy_blueprint")
    return name, json.loads(text)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--old", type=Path, help="the folder of an older version's programs")
    options = parser.parse_args()
    with (
        projects.baked() as sides,
        tempfile.TemporaryDirectory(prefix="simulation-") as folder,
    ):
        folder = Path(folder)
        if USER:
            shutil.chown(folder, USER["user"])
            # PostgreSQL's programs are inside.
            sides.ours.project.path.parent.chmod(0o711)
        simulate(folder, blueprint_of(sides.ours), sides.ours.programs, options)


def simulate(folder, blueprint, programs, options):
    server = Server(options.old or programs, folder / "data", free_port())
    server.init()
    server.start()
    try:
        before = 0
        for size in options.sizes:
            seconds = grow(server, blueprint, before, size)
            before = size
            found = {"tenants": size, "schema": seconds}
            if not options.old:
                found |= measure(server, folder)
            else:
                server.ask(FORGET_OPTION)
                server.stop()
                copy = Server(options.old, folder / "old", free_port())
                copy.run("bash", "-c", f"cp -a {server.data} {copy.data}")
                new = Server(programs, folder / "new", free_port())
                found["pg_upgrade"] = upgrade(copy, new, folder)
                for each in copy, new:
                    shutil.rmtree(each.data)
                server.start()
            print(json.dumps(found), flush=True)
    finally:
        with contextlib.suppress(ProgramError):
            server.stop("immediate")


if __name__ == "__main__":
    try:
        main()
    except (projects.BenchmarkError, ProgramError) as error:
        sys.exit(str(error))
