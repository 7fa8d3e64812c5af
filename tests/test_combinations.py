"""The engine's tests on two stacks, and each combination of options with its own tests.

The oldest stack is what a developer has on the first day: Python 3.11, the LTS release of Django,
psycopg2 and the embedded PostgreSQL. The newest is the machine's newest Python, the newest Django,
psycopg 3 and the distribution's PostgreSQL, which alone has PostGIS.
"""

import os
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest
from engine_project import render_with_engine
from projects import UV, Project, cookiecutter, environment, need, render, wait_for

POSTGIS = any(Path("/").glob("usr/share/postgresql/*/extension/postgis.control"))
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


def need_postgis():
    need(POSTGIS and shutil.which("gdalinfo"), "PostGIS with GDAL")


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


COMBINATIONS = list(product((False, True), repeat=2))
PRODUCTION = {  # as .env.production.example and deploy/compose.yaml set them
    "DEBUG": "off",
    "SECRET_KEY": "a secret of fifty characters or more, as the rule says",
    "DOMAIN": "acme.example.com",
    "EMAIL_HOST": "smtp.example.com",
    "CACHE_URL": "redis://redis:6379/1",
    "CELERY_BROKER_URL": "redis://redis:6379/0",
    "INTERNAL_PORT": "9000",
    "SENDFILE_HEADER": "X-Accel-Redirect",
    "TRUSTED_PROXIES": "1",
    "TRUST_PROXY": "on",
    "HSTS_SECONDS": "31536000",
}
GDAL = "gis.W001"  # of this machine, if it is old: docs/deploy.md says so


@pytest.mark.parametrize(("use_postgis", "use_celery"), COMBINATIONS)
def test_a_project_is_right_and_passes_its_own_tests(template, tmp_path, use_postgis, use_celery):
    if use_postgis:
        need_postgis()
    project = render(template, tmp_path, use_postgis=use_postgis, use_celery=use_celery)
    project.run(UV, "sync")

    try:
        project.manage("check", "--fail-level", "INFO")
        project.manage("makemigrations", "--check")
        database = f"{'postgis' if use_postgis else 'postgres'}://app:x@postgres/app"
        checked = project.manage("check", "--deploy", DATABASE_URL=database, **PRODUCTION)
        assert {*re.findall(r"\((\w+\.[A-Z]\d+)\)", checked.stderr)} <= {GDAL}, checked.stderr
        result = project.run(UV, "run", "pytest", "-q")
    finally:
        project.postgres("stop")

    assert PASSED.search(result.stdout), result.stdout


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
