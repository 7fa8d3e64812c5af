"""Every combination of the options passes its own tests, and so does the newest of everything."""

import os
import re
import shutil
from itertools import product
from pathlib import Path

import pytest
from projects import UV, Project, cookiecutter, environment

POSTGIS = any(Path("/").glob("usr/share/postgresql/*/extension/postgis.control"))
NEWEST_PYTHON = "3.13"


def need(found, what):
    """Skip the test where something isn't found, but fail it in CI, which installs it."""
    if not found:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{what} is not installed")


def render(template, folder, **options):
    answers = (f"{option}={answer}" for option, answer in options.items())
    cookiecutter(template, folder, "set_up_now=no", *answers)
    return Project(folder / "acme_cloud")


@pytest.mark.parametrize(("use_postgis", "use_celery"), product((False, True), repeat=2))
def test_the_project_passes_its_own_tests(template, tmp_path, use_postgis, use_celery):
    if use_postgis:
        need(POSTGIS and shutil.which("gdalinfo"), "PostGIS with GDAL")
    project = render(template, tmp_path, use_postgis=use_postgis, use_celery=use_celery)

    try:
        result = project.run(UV, "run", "pytest", "-q")
    finally:
        project.postgres("stop")

    assert re.search(r"^\d+ passed in", result.stdout, re.M), result.stdout
    assert project.run(UV, "run", "manage.py", "makemigrations", "--check").returncode == 0


def test_without_postgis_the_set_up_says_what_to_install(template, tmp_path):
    empty = tmp_path / "bin"
    empty.mkdir()

    output = cookiecutter(template, tmp_path, "use_postgis=yes", LOCAL_POSTGRES_BIN=empty)

    assert "Make the database and the public site: " in output
    assert "PostGIS" in output
    for line in ("apt install", "dnf install", "brew install", "DATABASE_URL=postgis://"):
        assert line in output
    assert output.splitlines()[-1].strip().endswith("cd acme_cloud && uv run manage.py init_tenant")


def test_the_newest_django_on_the_newest_python_passes(template, tmp_path):
    python = newest_python()
    need(python, f"Python {NEWEST_PYTHON}")
    project = render(template, tmp_path, use_celery=True)
    (tmp_path / "newest.txt").write_text("django\n")
    venv = tmp_path / "venv"
    project.run(UV, "venv", "-q", "--python", python, venv)
    project.run(
        *(UV, "pip", "install", "-q", "--python", venv, "--override", tmp_path / "newest.txt"),
        *("-r", "pyproject.toml", "--group", "dev"),
    )
    project.python = (venv / "bin" / "python",)

    try:
        version = project.run(*project.python, "-m", "django", "--version").stdout
        result = project.run(*project.python, "-m", "pytest", "-q")
    finally:
        project.postgres("stop")

    assert int(version.split(".")[0]) >= 6
    assert re.search(r"^\d+ passed", result.stdout, re.M), result.stdout


def newest_python():
    """Where a Python of that version is: uv knows some, pyenv others."""
    found = Project(Path.home(), env=environment()).run(
        UV, "python", "find", "--no-python-downloads", NEWEST_PYTHON, check=False
    )
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{NEWEST_PYTHON}.*/bin/python"))
    return found.stdout.strip() or (pyenv[-1] if pyenv else None)
