"""Validate the answers, and protect the owner's files, before Cookiecutter renders anything.

For the first invalid answer, print one line that names the question, and exit with 1.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # the system's temporary folder, which may contain a json.py

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

# The files and folders that belong to an option. They are removed if it is declined.
DECLINED = {
    "use_celery": (
        *("docs/background.md", "server/celery.py", "server/notes/tasks.py"),
        *("server/notes/templates/tenancy", "tests/test_tasks.py"),
    ),
    "use_postgis": ("docs/geography.md", "server/places", "tests/test_places.py"),
}
SET_ASIDE = Path(".set-aside")  # the post-generation hook removes it
IGNORED = {"media", "static_root", "node_modules"}  # large folders without a rendered file

# The prompts of cookiecutter.json, each with a valid answer.
QUESTIONS = {
    "project_name": ("Name of your product", "Acme Cloud"),
    "project_slug": ("Name of its folder", "acme_cloud"),
    "domain": ("Domain where it will live in production", "acme-cloud.example.com"),
    "admin_username": ("User name of the first administrator", "admin"),
    "admin_email": ("E-mail of the first administrator", "admin@example.com"),
}

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN_PROBLEMS = (
    (r"\s", "has a space"),
    (r"[^\x00-\x7f]", "has letters outside ASCII: write it in punycode, as xn--…"),
    (r"://", "has a scheme: give the host name only"),
    (r"/", "has a path: give the host name only"),
    (r":.*:|(^|\.)\d[^.:]*$", "is an IP address: tenants need subdomains"),
    (r":", "has a port: give the host name only"),
    (r"_", "has an underscore, which is not allowed in host names"),
    (r"[A-Z]", "has upper-case letters: write it in lower case"),
    (r".{254}", "is longer than 253 characters"),
    (r"^www\.", "begins with www.: leave that out, both lead to the site"),
    (r"^[^.]*$", "has no dot: give a full domain"),
    (rf"^(?!{LABEL}(\.{LABEL})*$)", "has a part that isn't 1 to 63 of a-z, 0-9 and inner hyphens"),
)
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`|~-]+"


def project_name(answer: str) -> str | None:
    if not answer.strip():
        return "is blank"
    if "\0" in answer or any("\ud800" <= character <= "\udfff" for character in answer):
        return "is not valid text"
    if len(answer) > 200:
        return "is longer than 200 characters"
    return None


def project_slug(answer: str) -> str | None:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", answer):
        return "may contain a-z, 0-9, _ and -, and must begin with a letter"
    return None


def domain(answer: str) -> str | None:
    problems = (problem for wrong, problem in DOMAIN_PROBLEMS if re.search(wrong, answer))
    return next(problems, None)


def admin_username(answer: str) -> str | None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", answer):
        return "must have 1 to 64 of a-z, 0-9, _, . and -, and begin with a letter or a digit"
    return None


def admin_email(answer: str) -> str | None:
    local, _, host = answer.rpartition("@")
    if not re.fullmatch(rf"{ATOM}(\.{ATOM})*", local) or domain(host.lower()):
        return "is not an e-mail address"
    if len(answer) > 254:
        return "is longer than 254 characters"
    return None


VALIDATORS = (project_name, project_slug, domain, admin_username, admin_email)


def refusal(answers: dict) -> str | None:
    """Return the line to print for the first invalid answer, None if all are valid."""
    for validator in VALIDATORS:
        key = validator.__name__
        problem = validator(str(answers[key]))
        if problem:
            question, example = QUESTIONS[key]
            shown = repr(answers[key])
            shown = shown if len(shown) <= 80 else f"{shown[:80]}…"
            return f"{question} ({key}): {shown} {problem}. For example: {example}"
    return None


def sweep(project: Path, output: Path) -> None:
    """Remove the empty folders that Cookiecutter created for a slug such as a/b/c or /x/y.

    Cookiecutter removes only the last of them, and only after this hook has failed. So a child
    process waits for that. It stops at the output folder and at the folders above it.
    """
    if os.fork():
        return
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(silence, stream)
    deadline = time.monotonic() + 5
    while project.exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    try:
        for folder in project.parents:
            if folder in (output, *output.parents):
                break
            folder.rmdir()
    finally:
        os._exit(0)


def set_aside(answers: dict) -> None:
    """List the paths of declined options. Save the owner's files that Cookiecutter would overwrite.

    Those at declined paths are moved: the post-generation hook removes what is rendered there, and
    moves them back. Those that match `_copy_without_render` are copied, because Cookiecutter
    overwrites them even with --skip-if-file-exists.
    """
    if (SET_ASIDE / "files").exists():
        sys.exit(
            f"An earlier run was interrupted. Your files are in {SET_ASIDE}/files: "
            f"move back those you need, then remove {SET_ASIDE}."
        )
    shutil.rmtree(SET_ASIDE, ignore_errors=True)
    options = (paths for option, paths in DECLINED.items() if not answers[option])
    declined = [path for paths in options for path in paths]
    SET_ASIDE.mkdir()
    (SET_ASIDE / "declined.json").write_text(json.dumps(declined), encoding="utf-8")
    for path in map(Path, declined):
        if os.path.lexists(path):
            (SET_ASIDE / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            path.rename(SET_ASIDE / "files" / path)
    for path in files_like(answers["_copy_without_render"]):
        (SET_ASIDE / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, SET_ASIDE / "files" / path)


def files_like(patterns: list[str]) -> Iterator[Path]:
    """Yield the project's files that match a pattern, as Cookiecutter matches it."""
    for above, folders, names in os.walk("."):
        folders[:] = [name for name in folders if name[0] != "." and name not in IGNORED]
        for path in (Path(above, name) for name in names):
            if path.is_file() and any(fnmatch(str(path), pattern) for pattern in patterns):
                yield path


def main() -> None:
    answers = json.loads(r"""{{ cookiecutter | jsonify }}""")
    line = refusal(answers)
    if line:
        print(line, file=sys.stderr)
        if "_output_dir" in answers:  # cruft doesn't pass it
            sweep(Path.cwd(), Path(answers["_output_dir"]).resolve())
        sys.exit(1)
    set_aside(answers)


if __name__ == "__main__":
    main()
