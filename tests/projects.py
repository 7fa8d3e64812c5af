"""A project that was set up for real: its commands, its servers, and a browser's part of HTTP."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UV = os.environ.get("UV") or shutil.which("uv")
# What would reach the project from the run of these tests, but from no person's terminal.
OURS = {
    *("DJANGO_SETTINGS_MODULE", "PYTEST_CURRENT_TEST", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT"),
    *("UV_RUN_RECURSION_DEPTH", "UV_WORKING_DIR", "VIRTUAL_ENV"),
}
# What would configure a project, of which a person's terminal has nothing yet.
EXAMPLE = ROOT / "{{cookiecutter.project_slug}}" / ".env.example"
CONFIGURING = set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE.read_text(), re.M))


def environment(**changes):
    """This process' variables with changes; None takes one away."""
    inherited = os.environ.keys() - OURS - CONFIGURING
    env = {name: os.environ[name] for name in inherited} | changes
    return {name: str(value) for name, value in env.items() if value is not None}


PATIENCE = 1800  # seconds; a busy machine takes 15 minutes for all tests of the engine
ANSWERS = ("project_name=Acme Cloud", "domain=acme.example.com", "admin_username=ada")


@dataclass
class Project:
    path: Path
    python: tuple = (UV, "run", "--no-sync", "python")
    env: dict = field(default_factory=environment)

    def run(self, *command, check=True, **env):
        """Run a command in the project; unless told otherwise, one that must succeed."""
        result = subprocess.run(
            [str(part) for part in command],
            cwd=self.path,
            env=self.env | {name: str(value) for name, value in env.items()},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result

    def copy(self, folder):
        """Return a project with the same files and packages, and a database of its own."""
        left_out = shutil.ignore_patterns(".venv", ".postgres", "__pycache__", ".*_cache")
        shutil.copytree(self.path, folder, ignore=left_out, symlinks=True)
        return Project(folder, python=(self.path / ".venv" / "bin" / "python",))

    def pytest(self, *arguments, **options):
        return self.run(*self.python, "-m", "pytest", "-q", *arguments, **options)

    def manage(self, *arguments, **options):
        return self.run(*self.python, "manage.py", *arguments, **options)

    def postgres(self, verb, **options):
        return self.run(*self.python, "-m", "tenancy.postgres.embedded", verb, **options)

    def settings(self):
        """What `.env` says, without its quotes."""
        pairs = re.findall(r"^(\w+)=(.*)$", (self.path / ".env").read_text(), re.M)
        return {name: value.strip("\"'") for name, value in pairs}

    @contextlib.contextmanager
    def serving(self, *command, said=None, port=None, **env):
        """Run a server, whose command has `{port}` where the port belongs; yields the port.

        What it printed is added to `said` in the end.
        """
        port = port or free_port()
        with tempfile.TemporaryFile("w+") as output:  # a pipe that nobody reads would fill up
            process = subprocess.Popen(
                [str(part).format(port=port) for part in command],
                cwd=self.path,
                env=self.env | {name: str(value) for name, value in env.items()},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                wait_for(lambda: answers(port) or process.poll() is not None)
                assert process.poll() is None, text_of(output)
                yield port
            finally:
                process.terminate()
                process.wait(timeout=60)
                if said is not None:
                    said.append(text_of(output))

    def runserver(self, **env):
        command = (*self.python, "manage.py", "runserver", "--noreload", "{port}")
        return self.serving(*command, **env)


def text_of(file):
    """Return all that a process wrote into the file. It has ended: it shares the position."""
    file.seek(0)
    return file.read()


def copy_template(folder):
    """Copy the template without caches and other ignored files, which would enter a rendering."""
    command = ["git", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr
    for name in listed.stdout.rstrip("\0").split("\0"):
        if (ROOT / name).exists():  # a deleted file is listed until that is staged
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def copy_engine(folder):
    """Copy the engine, without bytecode, into the folder."""
    engine = ROOT / "{{cookiecutter.project_slug}}" / "tenancy"
    shutil.copytree(engine, folder / "tenancy", ignore=shutil.ignore_patterns("__pycache__"))


def cookiecutter(template, folder, *answers, **env):
    """Type `cookiecutter` with an empty HOME; returns what was printed."""
    (folder / "home").mkdir(exist_ok=True)
    result = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(template), "--no-input", *ANSWERS, *answers],
        cwd=folder,
        env=environment(**{"HOME": folder / "home", "PWD": folder} | env),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def render(template, folder, **options):
    """Render a project, which isn't set up."""
    answers = (f"{option}={answer}" for option, answer in options.items())
    cookiecutter(template, folder, "set_up_now=no", *answers)
    return Project(folder / "acme_cloud")


def need(found, what):
    """Skip the test where something isn't installed, but fail it in CI, which installs it."""
    if not found:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{what} is missing")


def need_postgis():
    control = any(Path("/").glob("usr/share/postgresql/*/extension/postgis.control"))
    need(control and shutil.which("gdalinfo"), "PostGIS with GDAL")


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it didn't come about in time"
        time.sleep(0.01)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Browser:
    """Asks one host, at whichever port it is served, and keeps its cookies."""

    def __init__(self, host, port):
        self.host, self.port, self.cookies = host, port, {}

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def post(self, path, **form):
        """Send a form as a person would: open the page first, for the token of its form."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path).text)[1]
        body = urllib.parse.urlencode(form | {"csrfmiddlewaretoken": token})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", path, body, kind)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def request(self, method, path, body=None, headers=None):
        connection = self.connect()
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        own = {"Host": f"{self.host}:{self.port}", "Cookie": cookies}
        connection.request(method, path, body, own | (headers or {}))
        answer = connection.getresponse()
        answer.text = answer.read().decode(errors="replace")
        for cookie in answer.msg.get_all("Set-Cookie", ()):
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        connection.close()
        return answer


def signed_in(host, port, password, name="ada"):
    """Sign in on the main website, and return the browser of a host that it hands over to."""
    website, browser = Browser("localhost", port), Browser(host, port)
    website.post("/account/login/", login=name, password=password)
    if host == website.host:
        return website
    url = "/sign-in/"
    for asked in (browser, website, browser):
        parts = urllib.parse.urlsplit(url)
        url = asked.get(f"{parts.path}?{parts.query}").headers["Location"]
    return browser
