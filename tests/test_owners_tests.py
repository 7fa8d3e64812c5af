"""An owner's own tests run wherever they stand, and however they are started."""

import re
import shutil

import pytest
from projects import UV, Project, cookiecutter

TESTS = """
from django.db import connection
from django.test import TestCase

from server.invoices.models import Invoice


class InvoiceTest(TestCase):
    def test_the_main_website_answers(self):
        self.assertEqual(self.client.get("/", headers={"host": "localhost"}).status_code, 200)


def test_each_tenant_has_its_own(tenant, other_tenant, tenant_client):
    Invoice.objects.create(number=1)
    with other_tenant:
        assert not Invoice.objects.exists()
    assert tenant_client.get("/").status_code == 200
"""
COMMITTED = """
from server.tenants.models import Tenant


def test_the_tenants_are_there(committed_db):
    assert Tenant.objects.count() == 3
"""
MODELS = """
from django.db import models


class Invoice(models.Model):
    number = models.IntegerField()
"""


@pytest.fixture(scope="module")
def project(acme, tmp_path_factory):
    """A copy of `acme` whose owner has begun an app, and tests for it."""
    project = acme.copy(tmp_path_factory.mktemp("tests") / "project")
    app = project.path / "server" / "invoices"
    app.mkdir()
    project.manage("startapp", "invoices", "server/invoices")
    edit(app / "apps.py", "name = ['\"]invoices['\"]", 'name = "server.invoices"')
    edit(
        project.path / "server/settings.py", r"TENANT_APPS = \[\n", r'\g<0>    "server.invoices",\n'
    )
    (app / "models.py").write_text(MODELS)
    (app / "tests.py").write_text(TESTS)
    project.manage("makemigrations")
    yield project
    project.postgres("stop")


def edit(path, pattern, replacement):
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count == 1, (path, pattern)
    path.write_text(text)


def test_an_apps_tests_are_run_by_path_or_by_label(project):
    assert "2 passed" in project.pytest("--reuse-db", "server/invoices/tests.py").stdout
    assert "2 passed" in project.manage("test", "server.invoices", "--keepdb").stdout
    assert "server/invoices/tests.py: 2" in project.pytest("--collect-only", "-qq").stdout


def test_djangos_command_fails_with_a_test(project):
    wrong = project.path / "tests" / "test_failing.py"  # runs first, so the others never do
    wrong.write_text("def test_wrong(db):\n    assert False\n")
    try:
        result = project.manage("test", "--failfast", "--keepdb", "-v", "0", check=False)
    finally:
        wrong.unlink()

    assert result.returncode == 1
    assert "1 failed in" in result.stdout


def test_a_database_is_used_again_and_follows_the_migrations(project):
    for number in range(3):
        with (project.path / "server" / "invoices" / "models.py").open("a") as models:
            models.write(f"    field_{number} = models.IntegerField(null=True)\n")
        project.manage("makemigrations")

        assert "2 passed" in project.pytest("--reuse-db", "server/invoices/tests.py").stdout


def test_four_processes_share_the_tests(project):
    most = project.pytest("-n", "4", "-k", "not no_tenant_reaches_another")

    assert re.search(r"\d\d passed", most.stdout)


def test_no_test_writes_to_the_projects_database(project):
    """Also not one that asks for no fixture of pytest-django's."""
    (project.path / "tests" / "test_committed.py").write_text(COMMITTED)
    project.manage("init_tenant")

    assert "1 passed" in project.pytest("--reuse-db", "tests/test_committed.py").stdout
    assert project.manage("tenants").stdout.count("\n") == 2  # the titles, and the public one


def test_the_example_app_can_be_deleted(template, tmp_path):
    cookiecutter(template, tmp_path, "set_up_now=no", "use_celery=yes")
    project = Project(tmp_path / "acme_cloud")
    project.run(UV, "sync")

    shutil.rmtree(project.path / "server" / "notes")
    (project.path / "tests" / "test_notes.py").unlink()
    edit(project.path / "server/settings.py", ' +"server.notes",\n', "")
    edit(project.path / "server/settings.py", r' +"digest": \{\n(.*\n){3} +\},\n', "")
    edit(project.path / "server/urls.py", ' +path\\("notes/".*\n', "")

    try:
        project.manage("check")
        project.manage("makemigrations", "--check")
        assert re.search(r"\d\d passed", project.pytest().stdout)
        assert "test_a_member_sees_their_name_there" in project.pytest("--collect-only").stdout
    finally:
        project.postgres("stop")
