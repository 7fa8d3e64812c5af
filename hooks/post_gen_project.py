"""Finish what Cookiecutter rendered: files, .env, packages, database; then say what to type next.

Cookiecutter deletes the project of a hook that fails. A set-up that fails for want of a network or
a database is no reason for that, so this ends with status 0, and with the command that finishes.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # the temporary folder: somebody's json.py there would be imported

import contextlib
import importlib.util
import json
import os
import platform
import re
import runpy
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

ASIDE = Path(".set-aside")  # made by the pre-generation hook
LIST = ASIDE / "declined.json"

# They name another project's Python, packages or settings.
FOREIGN = {
    "DJANGO_SETTINGS_MODULE",
    "PIP_PREFIX",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
}

# Where pip and uv say why, the best place first: without a network pip ends with "No matching
# distribution found". For other programs it is the last line.
REASONS = (
    r"connection broken by '(?:.*[>)]: )?(.+?)(?:['\"]\)+)?': \S+$",
    r"^ *cause: (.+)",
    r"^ *(?:error|ERROR): (.+)",
    r"^ *(\S.*)",
)

NEW_ENOUGH = sys.version_info >= (3, 11)  # for the project; Cookiecutter runs on older ones


class StepError(Exception):
    """A step of the set-up failed; the text is the reason, in one line."""


class Step(NamedTuple):
    label: str
    verb: Callable[[], None]
    typed: str  # what a person types to do the same; nothing if the next step does it too


class Tool(NamedTuple):
    """What installs the packages and runs programs with them: uv, or venv and pip."""

    steps: list[Step]
    manage: str
    test: str


def main() -> None:
    sys.stdout.reconfigure(errors="backslashreplace")  # a path may not fit the terminal's encoding
    answers = json.loads(r"""{{ cookiecutter | jsonify }}""")
    if is_for_comparison(answers):
        drop_declined()
        write_env_example(answers)
        shutil.rmtree(ASIDE)
        return
    uv = os.environ.get("UV") or shutil.which("uv")
    tool = with_uv(uv) if uv else with_pip()
    with progress("Drop what was declined"):
        kept = drop_declined()
    with progress("Write .env"):
        write_env_example(answers)
        write_env()
    shutil.rmtree(ASIDE)
    if kept:
        print(f"Kept your own files: {', '.join(kept)}")
    left = set_up(tool.steps) if answers["set_up_now"] else tool.steps
    if left:
        say_how_to_finish(answers, left)
    else:
        say_next(answers, tool)


def is_for_comparison(answers: dict) -> bool:
    """Return True for `cruft update` and `cruft diff`, False for `cruft create`.

    They render one or two versions, compare them and delete them. cruft doesn't tell the hook, and
    it passes no `_output_dir`. It renders into a folder that Python's tempfile has made.
    """
    folder = Path.cwd().parent
    return (
        "_output_dir" not in answers
        and folder.parent == Path(tempfile.gettempdir()).resolve()
        and re.fullmatch("tmp[a-z0-9_]{8}", folder.name) is not None
    )


def drop_declined() -> list[str]:
    """Remove what was declined. Move the owner's files back there; return their paths."""
    kept = []
    for path in json.loads(LIST.read_text(encoding="utf-8")):
        rendered, owned = Path(path), ASIDE / "files" / path
        shutil.rmtree(rendered) if rendered.is_dir() else rendered.unlink()
        if os.path.lexists(owned):
            owned.rename(rendered)
            kept.append(path)
    shutil.rmtree(ASIDE / "files", ignore_errors=True)  # empty folders by now, if it exists
    return kept


def write_env_example(answers: dict) -> None:
    example = Path(".env.example")
    if example.stat().st_mtime_ns < LIST.stat().st_mtime_ns:
        return  # it is the owner's: --skip-if-file-exists
    keys = ("project_name", "admin_username", "admin_email")
    values = {key.upper(): str(answers[key]) for key in keys}
    env_file().answer(example, answers["domain"], values)


def write_env() -> None:
    # With --overwrite-if-exists there may be one, whose password is that of the database.
    if not Path(".env").exists():
        env_file().write(Path(".env.example"), Path(".env"))


def set_up(steps: list[Step]) -> list[Step]:
    """Take the steps in order; return those that are left, if one fails or is interrupted."""
    for done, step in enumerate(steps):
        try:
            with progress(step.label):
                step.verb()
        except (StepError, KeyboardInterrupt) as error:
            print(f"\n{step.label}: {str(error) or 'interrupted'}")
            return steps[done:]
    return []


def say_how_to_finish(answers: dict, left: list[Step]) -> None:
    commands = [go_there(answers), *(step.typed for step in left if step.typed)]
    print(
        f"""
The project is rendered; {answers["admin_username"]}'s password is ADMIN_PASSWORD in its .env.
This sets it up, and its README.md says what comes then:

    {" && ".join(commands)}"""
    )


def say_next(answers: dict, tool: Tool) -> None:
    admin = answers["admin_username"]
    lines = Path(".env").read_text(encoding="utf-8")
    password = "".join(re.findall(r"^ADMIN_PASSWORD=(.*)", lines, re.M))
    database = "The database is DATABASE_URL's: keep that set, or write it into .env."
    print(
        f"""
Ready. What to type next:

    {go_there(answers)}
    {tool.manage} runserver

http://localhost:8000/         the public site
http://localhost:8000/admin/   sign in as {admin} with {password} (ADMIN_PASSWORD in .env)

A tenant, at http://evilcorp.localhost:8000/, and the tests:

    {tool.manage} provision_tenant EvilCorp evilcorp org {admin}
    {tool.test}
"""
        + (f"{database}\n" if "DATABASE_URL" in environment() else "")
    )


def go_there(answers: dict) -> str:
    # Only the shell knows where the person is: Cookiecutter may have been given --output-dir.
    here = os.path.realpath(os.environ.get("PWD", ""))
    beside = here == str(Path.cwd().parent)
    return "cd " + shlex.quote(answers["project_slug"] if beside else str(Path.cwd()))


def with_uv(uv: str) -> Tool:
    typed = "uv" if shutil.which("uv") else shlex.quote(uv)
    return Tool(
        steps=[
            Step("Install the packages, with uv", partial(run, uv, "sync"), ""),
            Step(
                "Make the database and the public site",
                partial(run, uv, "run", "manage.py", "init_tenant"),
                f"{typed} run manage.py init_tenant",
            ),
        ],
        manage=f"{typed} run manage.py",
        test=f"{typed} run pytest",
    )


def with_pip() -> Tool:
    python = ".venv/bin/python"
    pip = f"{python} -m pip install"
    ours = sys.executable if NEW_ENOUGH else "python3.11"

    def step(label: str, typed: str) -> Step:
        return Step(label, partial(run, *shlex.split(typed)), typed)

    return Tool(
        steps=[
            Step("Make .venv", make_venv, f"{shlex.quote(ours)} -m venv .venv"),
            step("Update its pip", f"{pip} 'pip>=25.1'"),  # the first that is sure to know --group
            step("Install the packages, with pip", f"{pip} --editable . --group dev"),
            step("Make the database and the public site", f"{python} manage.py init_tenant"),
        ],
        manage=f"{python} manage.py",
        test=f"{python} -m pytest",
    )


def make_venv() -> None:
    if not NEW_ENOUGH:
        version = platform.python_version()
        raise StepError(f"the project needs Python 3.11 or newer, and this is {version}")
    if importlib.util.find_spec("ensurepip") is None:
        raise StepError(
            "this Python has no ensurepip: on Debian and Ubuntu, apt install python3-venv"
        )
    run(sys.executable, "-m", "venv", ".venv")


@contextlib.contextmanager
def progress(label: str) -> Iterator[None]:
    """Print the label; behind it, when the block is done, how long it took, or that it failed."""
    started = time.monotonic()
    print(f"{label:<40}", end="", flush=True)
    try:
        yield
    except BaseException:
        print("  failed", flush=True)
        raise
    print(f"{time.monotonic() - started:6.1f} s", flush=True)


def run(*command: str) -> None:
    """Run a command of the set-up without its output. Raises StepError if it fails."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        try:
            process = subprocess.Popen(
                command,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,  # a file: the database that is started here would keep a pipe open
            )
        except OSError as error:
            raise StepError(f"{command[0]}: {error.strerror}") from error
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=1)
                if sys.stdout.isatty():
                    print(f"{time.monotonic() - started:6.1f} s", end="\b" * 8, flush=True)
        finally:
            process.terminate()
            process.wait()
        errors.seek(0)
        if process.returncode:
            raise StepError(reason(errors.read()) or f"exit status {process.returncode}")


def environment() -> dict[str, str]:
    """Return what the set-up inherits. What .env sets comes from there, whatever is inherited."""
    ours = FOREIGN | env_file().names(Path(".env").read_text(encoding="utf-8"))
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return {"PIP_RETRIES": "1", **inherited}


def env_file() -> SimpleNamespace:
    # By its path: the package `server` imports what isn't installed yet.
    return SimpleNamespace(**runpy.run_path("server/env_file.py"))


def reason(errors: str) -> str:
    """Return the line of a program's stderr that says why it failed."""
    found = (re.findall(pattern, errors, re.M) for pattern in REASONS)
    return next((lines[-1].strip() for lines in found if lines), "")


if __name__ == "__main__":
    main()
