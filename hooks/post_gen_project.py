"""Finish the rendered project: declined options, .env, packages, database. Print the next steps.

Cookiecutter deletes the project if this hook fails. A step of the set-up may fail, for example
without a network. The hook then prints the command that finishes the set-up, and exits with 0.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # the system's temporary folder, which may contain a json.py

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

# The pre-generation hook creates this folder with the list and the owner's files.
SET_ASIDE = Path(".set-aside")
DECLINED_LIST = SET_ASIDE / "declined.json"

# Variables that point to the Python, the packages or the settings of another project.
FOREIGN = {
    "DJANGO_SETTINGS_MODULE",
    "PIP_PREFIX",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_WORKING_DIR",
    "VIRTUAL_ENV",
}

# Patterns for the reason in the output of pip and uv, the most precise one first. (Without a
# network, pip's last line is "No matching distribution found".) The last pattern fits any program.
REASONS = (
    r"connection broken by '(?:.*[>)]: )?(.+?)(?:['\"]\)+)?': \S+$",
    r"^ *cause: (.+)",
    r"^ *(?:error|ERROR): (.+)",
    r"^ *(\S.*)",
)

# What python-dotenv reads differently inside quotes.
ESCAPES = {
    "\\": "\\\\",
    '"': '\\"',
    "\n": "\\n",
    "\r": "\\r",
    "${": "${:-$}{",  # a nameless variable with the default `$`: there is no other escape
}

NEW_ENOUGH = sys.version_info >= (3, 11)  # Cookiecutter itself runs on older versions


class StepError(Exception):
    """A step of the set-up failed. The text is the reason, in one line."""


class Step(NamedTuple):
    label: str
    verb: Callable[[], None]
    typed: str  # the same as a shell command; empty if the next step does it as well


class Tool(NamedTuple):
    """How to install the packages and run the project: with uv, or with venv and pip."""

    steps: list[Step]
    manage: str
    test: str


def main() -> None:
    sys.stdout.reconfigure(errors="backslashreplace")  # the terminal may not be able to show a path
    answers = json.loads(r"""{{ cookiecutter | jsonify }}""")
    if is_for_comparison(answers):
        remove_declined()
        write_env_example(answers)
        shutil.rmtree(SET_ASIDE)
        return
    uv = os.environ.get("UV") or shutil.which("uv")
    tool = with_uv(uv) if uv else with_pip()
    with progress("Remove declined options"):
        kept = remove_declined()
        restore_skipped()
    with progress("Write .env"):
        write_env_example(answers)
        write_env()
    shutil.rmtree(SET_ASIDE)
    if kept:
        print(f"Kept your own files: {', '.join(kept)}")
    left = set_up(tool.steps) if answers["set_up_now"] else tool.steps
    if left:
        say_how_to_finish(answers, left)
    else:
        say_next(answers, tool)


def is_for_comparison(answers: dict) -> bool:
    """Return True for `cruft update` and `cruft diff`, which only compare renderings.

    cruft passes no `_output_dir`. For a comparison, it renders into a folder from Python's
    tempfile, which it deletes. `cruft create` renders into a folder of the user's.
    """
    folder = Path.cwd().parent
    return (
        "_output_dir" not in answers
        and folder.parent == Path(tempfile.gettempdir()).resolve()
        and re.fullmatch("tmp[a-z0-9_]{8}", folder.name) is not None
    )


def remove_declined() -> list[str]:
    """Remove the files of declined options. Restore the owner's files; return their paths."""
    kept = []
    for path in json.loads(DECLINED_LIST.read_text(encoding="utf-8")):
        rendered, owners = Path(path), SET_ASIDE / "files" / path
        shutil.rmtree(rendered) if rendered.is_dir() else rendered.unlink()
        if os.path.lexists(owners):
            owners.rename(rendered)
            kept.append(path)
    return kept


def restore_skipped() -> None:
    """With --skip-if-file-exists, restore the files that Cookiecutter has overwritten anyway."""
    saved = SET_ASIDE / "files"
    if any(map(is_skipped, (".env.example", ".gitignore", "manage.py", "pyproject.toml"))):
        for path in filter(Path.is_file, saved.rglob("*")):
            shutil.copy2(path, path.relative_to(saved))


def is_skipped(rendered: str) -> bool:
    """Return True if the file is older than this rendering: Cookiecutter kept the owner's file."""
    return Path(rendered).stat().st_mtime_ns < DECLINED_LIST.stat().st_mtime_ns


def write_env_example(answers: dict) -> None:
    if is_skipped(".env.example"):
        return
    keys = ("project_name", "admin_username", "admin_email")
    values = {key.upper(): str(answers[key]) for key in keys}
    write_values(Path(".env.example"), answers["domain"], values)


def write_values(example: Path, domain: str, values: dict[str, str]) -> None:
    """Write production's domain and these variables' values into `.env.example`.

    Raises ValueError if a variable doesn't have exactly one line there.
    """
    text = example.read_text(encoding="utf-8")
    text = re.sub(r"^(# DOMAIN=).*", rf"\g<1>{domain}", text, flags=re.M)
    for name, value in values.items():
        line = f"{name}={quote(value)}"
        text, found = re.subn(rf"^{name}=.*", lambda _, line=line: line, text, flags=re.M)
        if found != 1:
            raise ValueError(f"{example} has {found} lines that begin with {name}=, not one")
    example.write_text(text, encoding="utf-8")


def quote(value: str) -> str:
    """Return what to write after `NAME=` so that python-dotenv reads exactly this value."""
    if re.fullmatch(r"[\w.@+-]+", value, re.ASCII):
        return value
    escaped = re.sub(r'[\\"\n\r]|\$\{', lambda found: ESCAPES[found[0]], value)
    return f'"{escaped}"'


def write_env() -> None:
    # An existing .env has the password of the existing database.
    if not Path(".env").exists():
        env_file().write(Path(".env.example"), Path(".env"))


def set_up(steps: list[Step]) -> list[Step]:
    """Run the steps until one fails or is interrupted. Return that step and those after it."""
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
The project is rendered. {answers["admin_username"]}'s password is ADMIN_PASSWORD in its .env.
This command finishes the set-up. Its README.md has the next steps:

    {" && ".join(commands)}"""
    )


def say_next(answers: dict, tool: Tool) -> None:
    admin = answers["admin_username"]
    lines = Path(".env").read_text(encoding="utf-8")
    password = "".join(re.findall(r"^ADMIN_PASSWORD=(.*)", lines, re.M))
    database = "The database is the one in DATABASE_URL. Keep it set, or write it to .env."
    print(
        f"""
Ready. Type this next:

    {go_there(answers)}
    {tool.manage} runserver

http://localhost:8000/         the public site
http://localhost:8000/admin/   sign in as {admin} with {password} (ADMIN_PASSWORD in .env)

Create a tenant at http://evilcorp.localhost:8000/, and run the tests:

    {tool.manage} provision_tenant EvilCorp evilcorp org {admin}
    {tool.test}
"""
        + (f"{database}\n" if "DATABASE_URL" in environment() else "")
    )


def go_there(answers: dict) -> str:
    # With --output-dir, the project is not below the shell's folder, which PWD names.
    here = os.path.realpath(os.environ.get("PWD", ""))
    beside = here == str(Path.cwd().parent)
    return "cd " + shlex.quote(answers["project_slug"] if beside else str(Path.cwd()))


def with_uv(uv: str) -> Tool:
    typed = "uv" if shutil.which("uv") else shlex.quote(uv)
    return Tool(
        steps=[
            Step("Install the packages, with uv", partial(run, uv, "sync"), ""),
            Step(
                "Create the database and the public site",
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
            Step("Create .venv", create_venv, f"{shlex.quote(ours)} -m venv .venv"),
            step("Upgrade pip in .venv", f"{pip} 'pip>=25.1'"),  # the first with --group
            step("Install the packages, with pip", f"{pip} --editable . --group dev"),
            step("Create the database and the public site", f"{python} manage.py init_tenant"),
        ],
        manage=f"{python} manage.py",
        test=f"{python} -m pytest",
    )


def create_venv() -> None:
    if not NEW_ENOUGH:
        version = platform.python_version()
        raise StepError(f"the project needs Python 3.11 or newer; this is Python {version}")
    if importlib.util.find_spec("ensurepip") is None:
        raise StepError(
            "this Python has no ensurepip: on Debian and Ubuntu, apt install python3-venv"
        )
    run(sys.executable, "-m", "venv", ".venv")


@contextlib.contextmanager
def progress(label: str) -> Iterator[None]:
    """Print the label, and then how long the block took, or that it failed."""
    started = time.monotonic()
    print(f"{label:<40}", end="", flush=True)
    try:
        yield
    except BaseException:
        print("  failed", flush=True)
        raise
    print(f"{time.monotonic() - started:6.1f} s", flush=True)


def run(*command: str) -> None:
    """Run a command and hide its output. Raises StepError if it fails."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        try:
            process = subprocess.Popen(
                command,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,  # not a pipe: the database server inherits it and would keep it open
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
    """Return the environment of the set-up, without the variables that .env sets."""
    ours = FOREIGN | env_file().names(Path(".env").read_text(encoding="utf-8"))
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return {"PIP_RETRIES": "1", **inherited}


def env_file() -> SimpleNamespace:
    # The package can't be imported before its dependencies are installed.
    return SimpleNamespace(**runpy.run_path("tenancy/env_file.py"))


def reason(errors: str) -> str:
    """Return the line of a program's error output that has the reason."""
    found = (re.findall(pattern, errors, re.M) for pattern in REASONS)
    return next((lines[-1].strip() for lines in found if lines), "")


if __name__ == "__main__":
    main()
