"""A streaming replica of the tests' server, to be paused, killed and started again."""

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path

from django.db import connection
from tenancy.database.replica.standby import FLUSHED, ask
from tenancy.postgres import embedded, programs

PATIENCE = 60  # seconds
# Nothing that is replayed waits for a query.
OPTIONS = {"unix_socket_directories": "", "fsync": "off", "max_standby_streaming_delay": 0}
MAY_REPLICATE = f"host replication postgres {embedded.HOST}/32 scram-sha-256\n"


class Replica:
    """Its data are in `folder`, and its server answers at `port`."""

    def __init__(self, folder: Path):
        self.data = folder / "data"
        folder.chmod(0o777)  # PostgreSQL doesn't run as root
        for parent in folder.parents[:3]:
            parent.chmod(0o755)
        with socket.socket() as free:
            free.bind((embedded.HOST, 0))
            self.port = free.getsockname()[1]
        primary = embedded.DIRECTORY / "data"
        self.password = json.loads((primary / "passwords.json").read_text())["postgres"]
        self.programs = programs.find(primary, postgis=(primary / "has_postgis").exists()).folder
        self.as_user = programs.without_root(folder)
        self.server = None
        self.copy(primary / "pg_hba.conf")

    def copy(self, rules: Path):
        port = connection.settings_dict["PORT"]
        if MAY_REPLICATE not in rules.read_text():
            with rules.open("a") as file:
                file.write(MAY_REPLICATE)
        # A checkpoint, which each dropped database forces, may remove the copy's first WAL segment
        # before the copy's own slot keeps it. The replica, when it is away, has no slot at all.
        self.ask("ALTER SYSTEM SET wal_keep_size = '1GB'", port)
        self.ask("SELECT pg_reload_conf()", port)
        source = ["-h", embedded.HOST, "-p", str(port), "-U", embedded.SUPERUSER]
        self.backup = [self.programs / "pg_basebackup", *source, "-D", self.data]
        programs.run(
            [*self.as_user, *self.backup, "--write-recovery-conf", "--checkpoint=fast"],
            variables={"PGPASSWORD": self.password},
        )

    def start(self):
        options = OPTIONS | {"port": self.port}
        settings = [f"--{name}={value}" for name, value in options.items()]
        self.server = subprocess.Popen(
            [*self.as_user, self.programs / "postgres", "-D", self.data, *settings],
            stdout=subprocess.DEVNULL,
            stderr=(self.data.parent / "log").open("a"),
            cwd="/",
            env=programs.environment(),
        )
        self.wait_until(self.answers)

    def kill(self):
        """End the server as a crash does, with all connections."""
        self.server.send_signal(signal.SIGQUIT)
        self.server.wait()

    def answers(self) -> bool:
        try:
            return self.ask("SELECT 1") == 1
        except connection.Database.OperationalError:
            return False

    def ask(self, sql: str, port: int | None = None):
        """Return what the superuser is answered, if anything."""
        link = connection.Database.connect(
            host=embedded.HOST,
            port=port or self.port,
            user=embedded.SUPERUSER,
            password=self.password,
            dbname="postgres",
        )
        with closing(link):
            link.autocommit = True
            with link.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchone()[0] if cursor.description else None

    @contextmanager
    def paused(self):
        """Let nothing be replayed in the block, though it arrives."""
        self.ask("SELECT pg_wal_replay_pause(), 1")
        self.wait_until(lambda: self.ask("SELECT pg_get_wal_replay_pause_state()") == "paused")
        try:
            yield
        finally:
            self.ask("SELECT pg_wal_replay_resume()")
            self.catch_up()

    def conflict(self, tenant):
        """Replay what conflicts with a query that sleeps, once the replica runs one."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        self.wait_until(lambda: self.ask(query))
        try:
            with tenant, connection.cursor() as cursor:
                cursor.execute("ALTER TABLE notes_note SET (fillfactor = 100)")
                cursor.execute("ALTER TABLE notes_note RENAME COLUMN text TO text_")
                cursor.execute("ALTER TABLE notes_note RENAME COLUMN text_ TO text")
        finally:
            connection.close()

    def catch_up(self):
        """Wait until all is replayed that is written now."""
        flushed = ask("default", FLUSHED)[0]
        replayed = "SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint"

        def is_replayed():
            try:
                return self.ask(replayed) >= flushed
            except connection.Database.OperationalError:  # replaying may cancel a new connection
                return False

        self.wait_until(is_replayed)

    def wait_until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            log = self.data.parent / "log"
            assert time.monotonic() < deadline, log.read_text() if log.exists() else "no log"
            os.sched_yield()
            time.sleep(0.01)
