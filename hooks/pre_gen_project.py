"""Refuse answers from which no project can be made, before a file is rendered.

The first wrong answer is one line on stderr, which names its question; the exit status is then 1.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # the temporary folder: somebody's json.py there would be imported

import json
import os
import re
import shutil
import time
from pathlib import Path

# The files and folders of each option.
DECLINED = {
    "use_celery": (
        *("server/background", "server/celery.py", "server/notes/tasks.py"),
        *("tests/tasks.py", "tests/workers.py"),
        *("tests/test_celery.py", "tests/test_celery_provisioning.py"),
        "tests/test_celery_workers.py",
    ),
    "use_postgis": (
        *("server/places", "server/postgis"),
        *("tests/shapes", "tests/test_places.py", "tests/test_postgis.py"),
    ),
}
ASIDE = Path(".set-aside")  # for the post-generation hook, which removes it

# As cookiecutter.json asks them, each with an answer that works.
QUESTIONS = {
    "project_name": ("Name of your product", "Acme Cloud"),
    "project_slug": ("Name of its folder", "acme_cloud"),
    "domain": ("Domain where it will live in production", "acme-cloud.example.com"),
    "admin_username": ("User name of the first administrator", "admin"),
    "admin_email": ("E-mail of the first administrator", "admin@example.com"),
}

LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN_PROBLEMS = (
    (r"\s", "has a space in it"),
    (r"[^\x00-\x7f]", "has letters outside ASCII; its punycode, which begins with xn--, works"),
    (r"://", "has a scheme: only the host name is wanted"),
    (r"/", "has a path: only the host name is wanted"),
    (r":.*:|(^|\.)\d[^.:]*$", "is an IP address, and tenants need names below it"),
    (r":", "has a port: only the host name is wanted"),
    (r"_", "has an underscore, which no host name may have"),
    (r"[A-Z]", "has upper-case letters: host names are compared in lower case"),
    (r".{254}", "is longer than 253 characters"),
    (r"^www\.", "begins with www., which leads to the same site without being named"),
    (r"^[^.]*$", "has no dot: it is no domain of the internet"),
    (rf"^(?!{LABEL}(\.{LABEL})*$)", "has a part that isn't 1 to 63 of a-z, 0-9 and inner hyphens"),
)
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`|~-]+"


def project_name(answer: str) -> str | None:
    if not answer.strip():
        return "is blank"
    if "\0" in answer or any("\ud800" <= character <= "\udfff" for character in answer):
        return "is no text"
    if len(answer) > 200:
        return "is longer than 200 characters"
    return None


def project_slug(answer: str) -> str | None:
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", answer):
        return "must be a-z, 0-9, _ and -, and begin with a letter"
    return None


def domain(answer: str) -> str | None:
    problems = (problem for wrong, problem in DOMAIN_PROBLEMS if re.search(wrong, answer))
    return next(problems, None)


def admin_username(answer: str) -> str | None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", answer):
        return "must be 1 to 64 of a-z, 0-9, _, . and -, and begin with a letter or a digit"
    return None


def admin_email(answer: str) -> str | None:
    local, _, host = answer.rpartition("@")
    if not re.fullmatch(rf"{ATOM}(\.{ATOM})*", local) or domain(host.lower()):
        return "is no e-mail address"
    if len(answer) > 254:
        return "is longer than 254 characters"
    return None


VALIDATORS = (project_name, project_slug, domain, admin_username, admin_email)


def refusal(answers: dict) -> str | None:
    """Return the line that refuses the first wrong answer, None if all can be used."""
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
    """Remove the empty folders above the project that a slug such as a/b/c or /x/y made.

    Cookiecutter removes the project's folder, and that alone, when this process has ended: a child
    waits for it. Folders at or above the output folder stay.
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
    """Move away the owner's files that stand where Cookiecutter will render declined ones.

    Cookiecutter overwrites some of them even with --skip-if-file-exists. The post-generation hook
    removes what was declined, by the list made here, and moves the owner's files back.
    """
    if (ASIDE / "files").exists():
        sys.exit(f"{ASIDE}/files: move these files back, then remove {ASIDE}. They are yours.")
    shutil.rmtree(ASIDE, ignore_errors=True)
    options = (paths for option, paths in DECLINED.items() if not answers[option])
    declined = [path for paths in options for path in paths]
    ASIDE.mkdir()
    (ASIDE / "declined.json").write_text(json.dumps(declined), encoding="utf-8")
    for path in map(Path, declined):
        if os.path.lexists(path):
            (ASIDE / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            path.rename(ASIDE / "files" / path)


def main() -> None:
    answers = json.loads(r"""{{ cookiecutter | jsonify }}""")
    line = refusal(answers)
    if line:
        print(line, file=sys.stderr)
        if "_output_dir" in answers:  # cruft passes none, and the empty folders stay
            sweep(Path.cwd(), Path(answers["_output_dir"]).resolve())
        sys.exit(1)
    set_aside(answers)


if __name__ == "__main__":
    main()
