import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from projects import Project, cookiecutter, copy_template, need

pytest.register_assert_rewrite("life")
collect_ignore = ["engine", "owner"]  # they run in a rendered project

PROJECT = "{{cookiecutter.project_slug}}"
MACHINE = Path(tempfile.gettempdir(), "template-tests.lock")  # for all processes of the tests


def measures(item):
    return item.get_closest_marker("alone") is not None


def pytest_collection_modifyitems(items):
    """The longest file comes first, and what measures last: no process waits for the other."""
    items.sort(key=lambda item: (measures(item), item.path.name != "test_stacks.py"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with MACHINE.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if measures(item) else fcntl.LOCK_SH)
        return (yield)


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return copy_template(tmp_path_factory.mktemp("template"))


@dataclass
class Baked:
    """What a template became: the project's path, or None where the exit code isn't 0."""

    path: Path | None
    exit_code: int

    def run(self, *command, **env):
        return run(*command, cwd=self.path, env=os.environ | env)


@pytest.fixture
def bake(cookies, template):
    """Bake in this process; the set-up is left out unless it is asked for."""

    def bake(template=template, **answers):
        result = cookies.bake({"set_up_now": False} | answers, template=str(template))
        return Baked(result.project_path, result.exit_code)

    return bake


@dataclass
class Person:
    """Somebody with an empty HOME and PATH who types `cookiecutter` in an empty folder."""

    home: Path
    folder: Path
    bin: Path
    template: Path

    def command(self, *arguments):
        return [sys.executable, "-m", "cookiecutter", str(self.template), *arguments]

    def env(self, **env):
        own = {"HOME": self.home, "PATH": self.bin, "PWD": self.folder}
        return {name: str(value) for name, value in (own | env).items()}

    def cookiecutter(self, *arguments, **env):
        """Run it without questions, with these arguments and variables; return it completed."""
        command = self.command("--no-input", *arguments)
        return run(*command, cwd=self.folder, env=self.env(**env))


@pytest.fixture
def person(template, tmp_path):
    folders = [tmp_path / name for name in ("home", "folder", "bin")]
    for folder in folders:
        folder.mkdir()
    return Person(*folders, template)


@pytest.fixture
def calls(tmp_path):
    """Return what the stand-ins were called with, so far."""
    file = tmp_path / "calls"

    def calls():
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    return calls


@pytest.fixture
def stand_in(person, tmp_path):
    """Put a program on the PATH that notes how it was called, then does what this Python says."""

    def stand_in(name, behaviour=""):
        program = person.bin / name
        program.write_text(f"""#!{sys.executable}
import json, os, shutil, sys, time
arguments = sys.argv[1:]
call = {{"arguments": arguments, "folder": os.getcwd(), "env": dict(os.environ)}}
with open({str(tmp_path / "calls")!r}, "a") as calls:
    print(json.dumps(call), file=calls)
{behaviour}
""")
        program.chmod(0o755)
        return program

    return stand_in


@pytest.fixture(scope="module")
def chromium():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    need(path, "chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture
def trusting_chromium(site, tmp_path):
    """A page that finds all hosts on this machine, with the root of the site's Caddy in its own
    store."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    need(path, "chromium")
    need(shutil.which("certutil"), "certutil (libnss3-tools)")
    store = tmp_path / ".pki/nssdb"
    store.mkdir(parents=True)
    for options in (
        ["-N", "--empty-password"],
        ["-A", "-n", "Caddy", "-t", "C,,", "-i", site.root],
    ):
        site.project.run("certutil", "-d", f"sql:{store}", *options)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--host-resolver-rules=MAP * 127.0.0.1",
                "--disable-features=AutoupgradeMixedContent",  # the bucket here is without TLS
            ],
            env=os.environ | {"HOME": str(tmp_path)},
        ).new_page()


@pytest.fixture(scope="session")
def printed():
    """What the set-up of `acme` printed."""
    return []


@pytest.fixture(scope="session")
def acme(template, tmp_path_factory, printed):
    """A project that was set up as a person does it, with uv, and its database running."""
    folder = tmp_path_factory.mktemp("acme")
    printed.append(cookiecutter(template, folder))
    project = Project(folder / "acme_cloud")
    yield project
    project.postgres("stop")
