"""Every combination of the options passes its own tests, and so does the newest of everything."""

import os
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest
from projects import UV, Project, cookiecutter, environment, need, wait_for

POSTGIS = any(Path("/").glob("usr/share/postgresql/*/extension/postgis.control"))
NEWEST_PYTHON = "3.13"


def render(template, folder, **options):
    answers = (f"{option}={answer}" for option, answer in options.items())
    cookiecutter(template, folder, "set_up_now=no", *answers)
    return Project(folder / "acme_cloud")


@pytest.mark.parametrize(("use_postgis", "use_celery"), list(product((False, True), repeat=2)))
def test_the_project_passes_its_own_tests(template, tmp_path, use_postgis, use_celery):
    if use_postgis:
        need(POSTGIS and shutil.which("gdalinfo"), "PostGIS with GDAL")
    if use_celery:
        need(shutil.which("redis-server"), "redis-server")
    project = render(template, tmp_path, use_postgis=use_postgis, use_celery=use_celery)

    try:
        result = project.run(UV, "run", "pytest", "-q")
        if not use_postgis and not use_celery:  # once is enough
            thorough = "--hypothesis-profile=thorough", "tests/test_isolation.py"
            project.run(UV, "run", "pytest", "-q", *thorough)
        collected = project.run(UV, "run", "pytest", "-q", "--collect-only").stdout
        project.manage("makemigrations", "--check")
    finally:
        project.postgres("stop")

    assert re.search(r"^\d+ passed in", result.stdout, re.M), result.stdout
    assert ("tests/test_places.py" in collected) == use_postgis


def test_without_gdal_it_says_what_to_install_and_no_traceback(template, tmp_path):
    project = render(template, tmp_path, use_postgis=True)
    project.run(UV, "sync")
    # As on a machine that has no such libraries, and so no PostGIS either.
    (tmp_path / "sitecustomize.py").write_text(
        "import ctypes.util\nctypes.util.find_library = lambda name: None\n"
    )

    result = project.manage("init_tenant", check=False, PYTHONPATH=tmp_path)

    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    for words in ("no GDAL", "apt install", "dnf install", "brew install", "DATABASE_URL=postgis"):
        assert words in result.stderr


TASK = """
from celery import shared_task
from django.contrib.auth import get_user_model

from server.notes.models import Note


@shared_task
def write(text):
    Note.objects.create(text=text, author=get_user_model().objects.get(username="ada"))
"""
SEND = """
from django_tenants.utils import tenant_context
from server.notes.tasks import write
from server.tenants.models import Tenant
with tenant_context(Tenant.objects.get(slug="{slug}")):
    write.delay("Written for {slug}")
"""
READ = """
from django_tenants.utils import tenant_context
from server.notes.models import Note
from server.tenants.models import Tenant
for tenant in Tenant.objects.exclude(slug="public"):
    with tenant_context(tenant):
        print(tenant.slug, *Note.objects.values_list("text", flat=True))
"""


def test_a_worker_runs_what_another_process_sent_in_the_senders_tenant(template, tmp_path):
    project = render(template, tmp_path, use_celery=True)
    (project.path / "server" / "notes" / "tasks.py").write_text(TASK)
    project.run(UV, "sync")
    project.manage("init_tenant")
    for slug in ("one", "two"):
        project.manage("provision_tenant", slug, slug, "org", "ada")
        project.manage("shell", "-c", SEND.format(slug=slug))
    worker = subprocess.Popen(
        [*project.python, "-m", "celery", "-A", "server", "worker", "-c", "1"],
        cwd=project.path,
        env=project.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: project.manage("shell", "-v0", "-c", READ).stdout.count("Written") == 2)
        read = project.manage("shell", "-v0", "-c", READ).stdout
    finally:
        worker.terminate()
        worker.wait(timeout=60)
        project.postgres("stop")

    assert read.splitlines() == ["one Written for one", "two Written for two"]


def test_without_postgis_the_set_up_says_what_to_install(template, tmp_path):
    empty = tmp_path / "bin"
    empty.mkdir()

    output = cookiecutter(template, tmp_path, "use_postgis=yes", LOCAL_POSTGRES_BIN=empty)

    assert "Create the database and the public site: " in output, output
    assert "PostGIS" in output
    for line in ("apt install", "dnf install", "brew install", "DATABASE_URL=postgis://"):
        assert line in output
    assert output.splitlines()[-1].strip().endswith("cd acme_cloud && uv run manage.py init_tenant")


def test_the_newest_django_on_the_newest_python_passes(template, tmp_path):
    python = newest_python()
    if not python:
        pytest.skip(f"Python {NEWEST_PYTHON} is not found")
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
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    pyenv = sorted(root.glob(f"versions/{NEWEST_PYTHON}.*/bin/python"))
    return found.stdout.strip() or (pyenv[-1] if pyenv else None)
