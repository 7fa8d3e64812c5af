"""Each combination of options: the project is right, and passes its own tests."""

import re
import subprocess
from itertools import product

import pytest
from projects import UV, cookiecutter, need_postgis, render, wait_for

PASSED = re.compile(r"^\d+ passed(, \d+ deselected)?(, \d+ warnings?)? in", re.M)
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
        # test_documents.py has the isolation proof of a project with all options, and an app.
        most = ("-k", "not no_tenant_reaches_another") if use_postgis and use_celery else ()
        result = project.run(UV, "run", "pytest", "-q", *most)
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
