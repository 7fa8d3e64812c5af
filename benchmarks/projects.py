"""The projects that stand side by side, on one PostgreSQL server, each in a database of its own:
ours from the template, theirs as the libraries' documentation says, and Django without tenants."""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psycopg2

from tests.projects import Project, cookiecutter, copy_template, environment

HERE = Path(__file__).parent
INSIDE = HERE / "inside"
PLACE = """
import json
from tenancy.postgres import embedded
from tenancy.postgres import programs
at = embedded.start()
folder = programs.find(embedded.DIRECTORY / "data", postgis=False).folder
print(json.dumps([{name.lower(): value for name, value in at.items()}, str(folder)]))
"""


class BenchmarkError(Exception):
    """Something went wrong in what is measured; the text is what it said."""


class Worker:
    """A warm process in a project. What is sent is answered in order."""

    def __init__(self, process, log):
        self.process, self.log = process, log

    def send(self, verb, **arguments):
        print(json.dumps([verb, arguments]), file=self.process.stdin, flush=True)

    def receive(self):
        """Raises BenchmarkError if the process ended instead of answering."""
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise BenchmarkError("\n".join(self.log.read_text().splitlines()[-20:]))
        return json.loads(line)

    def do(self, verb, **arguments):
        self.send(verb, **arguments)
        return self.receive()


@dataclass
class Side:
    """One of the projects; `at` is its database, as psycopg2 wants it."""

    name: str
    project: Project
    at: dict
    programs: Path  # PostgreSQL's

    def with_settings(self, module):
        """The same side with other settings, whose name it gets."""
        env = self.project.env | {"DJANGO_SETTINGS_MODULE": module}
        project = dataclasses.replace(self.project, env=env)
        return dataclasses.replace(self, name=module, project=project)

    def connect(self):
        connection = psycopg2.connect(**self.at)
        connection.autocommit = True
        return contextlib.closing(connection)

    def query(self, sql, *parameters):
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else None

    def postgres(self, program, *arguments, stdin=None):
        """Run one of PostgreSQL's programs on the database and return what it printed."""
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
        env = {name: self.at[key] for key, name in names.items()}
        command = [self.programs / program, *arguments]
        return subprocess.run(
            command,
            env=environment(**env, PGDATABASE=self.at["dbname"]),
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    @contextlib.contextmanager
    def worker(self):
        log = self.project.path / "worker.log"
        with log.open("a") as said:
            process = subprocess.Popen(
                [*self.project.python, INSIDE / "worker.py"],
                cwd=self.project.path,
                env=self.project.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                start_new_session=True,  # Ctrl-C is for us, who end it
            )
        try:
            yield Worker(process, log)
        finally:
            process.kill()
            process.communicate()

    def do(self, verb, **arguments):
        """What a worker does that isn't needed for more."""
        with self.worker() as worker:
            return worker.do(verb, **arguments)

    def serving(self, processes, name="benchmark"):
        """A server, whose connections to the database have the name; yields its port."""
        wsgi = "django.core.wsgi:get_wsgi_application()"
        options = (
            "--workers",
            str(processes),
            "--bind",
            "127.0.0.1:{port}",
            "--log-level",
            "warning",
        )
        command = [*self.project.python, "-m", "gunicorn", wsgi, *options]
        return self.project.serving(*command, PGAPPNAME=name)


class Sides(NamedTuple):
    ours: Side
    theirs: Side
    plain: Side


@contextlib.contextmanager
def baked():
    """The three, with one tenant `seed` where there are tenants; in the end nothing is left."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        folder = Path(folder)
        cookiecutter(copy_template(folder / "template"), folder, "use_celery=yes")
        ours = Project(folder / "acme_cloud", (folder / "acme_cloud/.venv/bin/python",))
        try:
            at, programs = json.loads(ours.run(*ours.python, "-c", PLACE).stdout)
            yield Sides(*set_up(folder, ours, at, Path(programs)))
        finally:
            ours.postgres("stop")


def set_up(folder, baked, at, programs):
    def side(name, path, database, settings, **env):
        url = "postgres://{user}:{password}@{host}:{port}/".format(**at) + database
        paths = f"{INSIDE}:{path}"
        env |= {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": settings, "PYTHONPATH": paths}
        project = Project(path, baked.python, environment(**env))
        return Side(name, project, at | {"dbname": database}, programs)

    def twin(name, kind, *commands):
        path = folder / kind
        shutil.copytree(HERE / kind, path)
        notes = path / "notes"
        shutil.copytree(baked.path / "server/notes/migrations", notes / "migrations")
        shutil.copy(baked.path / "server/notes/models.py", notes)
        ours.query(f"CREATE DATABASE {kind}")
        made = side(name, path, kind, "settings")
        for command in commands:
            made.project.run(*made.project.python, "-m", "django", *command.split())
        made.do("found")
        return made

    deployed = {"DEBUG": "off", "HTTPS": "off", "EMAIL_HOST": "localhost"}
    deployed["CELERY_BROKER_URL"] = "redis://localhost"  # of which most measure nothing
    ours = side("ours", baked.path, "server", "ours_settings", **deployed)
    migrating = "makemigrations tenants users", "migrate_schemas --shared"
    theirs = twin("theirs", "twin", *migrating)
    plain = twin("plain", "plain", "migrate")
    for each in (ours, theirs):
        each.do("provision", slug="seed")
    return ours, theirs, plain


def large(ours):
    """Our project with an app of sixty models more, in a database of its own."""
    folder = ours.project.path.parent / "large"
    shutil.copytree(HERE / "large", folder)
    ours.query("CREATE DATABASE large")
    server, _ = ours.project.env["DATABASE_URL"].rsplit("/", 1)
    env = ours.project.env | {
        "DATABASE_URL": f"{server}/large",
        "DJANGO_SETTINGS_MODULE": "large_settings",
        "PYTHONPATH": f"{folder}:{ours.project.env['PYTHONPATH']}",
    }
    project = dataclasses.replace(ours.project, env=env)
    side = dataclasses.replace(
        ours, name="large", project=project, at=ours.at | {"dbname": "large"}
    )
    for command in ("makemigrations catalog", "init_tenant"):
        project.manage(*command.split())
    side.do("provision", slug="seed")
    return side


def cookie(side):
    """Write the note that the page shows, and return a cookie of somebody who is signed in."""
    return side.do("write", schema=seed(side))


def seed(side):
    """The schema of the tenant from which others are copied."""
    if side.name == "plain":
        return None
    return side.query("SELECT schema_name FROM tenants_tenant WHERE slug = 'seed'")[0][0]
