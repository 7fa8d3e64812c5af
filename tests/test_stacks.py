"""The engine's tests on two stacks.

The oldest stack is what a developer has on the first day: Python 3.11, the LTS release of Django,
psycopg2 and the embedded PostgreSQL. The newest is the machine's newest Python, the newest Django,
psycopg 3 and the distribution's PostgreSQL, which alone has PostGIS.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
from engine_project import render_with_engine
from projects import UV, Project, environment, need, need_postgis

OLDEST = (3, 11)
REQUIREMENTS = "engine/requirements.txt"
OLDEST_PYTHON = (UV, "run", "--python", "3.11", "--with-requirements", REQUIREMENTS, "python")
# They replace what pyproject.toml asks for. The marker is true nowhere.
NEWEST = "django\npsycopg2-binary; sys_platform == 'nowhere'\n"
STACK = """
import sys
import django
from django.db import connection
connection.ensure_connection()
print(*sys.version_info[:2], django.VERSION[0], connection.Database.__name__)
print(connection.pg_version // 10000)
"""
PASSED = re.compile(r"^\d+ passed(, \d+ warnings?)? in", re.M)


def need_redis():
    need(shutil.which("redis-server"), "redis-server")


def run_engine(project, *tests):
    """Run tests of the engine. Return the versions of Python and Django, driver, PostgreSQL's."""
    command = (*project.python, "-m", "pytest", "--ds", "engine.settings", "-q", "-n", "2")
    try:
        result = project.run(*command, *tests, check=False)
        stack = project.manage("shell", "-v0", "-c", STACK).stdout.split()
    finally:
        project.postgres("stop")
    assert PASSED.search(result.stdout), result.stdout + result.stderr
    python, minor, django, driver, postgresql = stack
    return (int(python), int(minor)), int(django), driver, int(postgresql)


def test_the_engine_on_the_oldest_stack(template, tmp_path):
    need_redis()
    project = render_with_engine(template, tmp_path, use_celery=True)
    project.python = OLDEST_PYTHON

    assert run_engine(project, "engine") == (OLDEST, 5, "psycopg2", 18)


def test_the_engines_geography_on_the_oldest_stack(template, tmp_path):
    need_postgis()
    project = render_with_engine(template, tmp_path, use_celery=True, use_postgis=True)
    project.python = OLDEST_PYTHON
    geography = ("engine/test_places.py", "engine/test_postgis.py")

    assert run_engine(project, *geography)[:3] == (OLDEST, 5, "psycopg2")


def test_the_engine_on_the_newest_stack(template, tmp_path):
    newest = newest_python()
    need_postgis()
    need_redis()
    project = render_with_engine(template, tmp_path, use_celery=True, use_postgis=True)
    (tmp_path / "newest.txt").write_text(NEWEST)
    venv = tmp_path / "venv"
    project.run(UV, "venv", "-q", "--python", newest, venv)
    project.run(
        *(UV, "pip", "install", "-q", "--python", venv, "--override", tmp_path / "newest.txt"),
        *("-r", "pyproject.toml", "--group", "dev", "-r", REQUIREMENTS, "psycopg[binary]"),
    )
    project.python = (venv / "bin" / "python",)

    python, django, driver, _ = run_engine(project, "engine")

    assert python > OLDEST
    assert django > 5
    assert driver == "psycopg"


def newest_python():
    """Return UV_PYTHON, or the newest Python of uv's and pyenv's. Fail unless it is above 3.11."""
    here = Project(Path.home(), env=environment())
    asked = os.environ.get("UV_PYTHON")
    find = (UV, "python", "find", "--system", "--no-python-downloads", asked or ">=3.12")
    pythons = here.run(*find, check=False).stdout.splitlines()
    if not asked:
        versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
        releases = [path for path in versions.glob("3.*") if re.fullmatch(r"[\d.]+", path.name)]
        pythons += [path / "bin" / "python" for path in releases]
    say = ("-c", "import sys; print(*sys.version_info[:2])")
    found = {tuple(map(int, here.run(python, *say).stdout.split())): python for python in pythons}
    newest = max(found, default=OLDEST)
    if newest <= OLDEST:
        pytest.fail("The newest stack needs a Python above 3.11: `uv python install 3.14`.")
    return found[newest]
