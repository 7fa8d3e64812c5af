"""Every combination of the options is rendered whole, clean, and with exactly its files."""

import ast
import re
import sys
from itertools import pairwise, product

import pytest
from conftest import PROJECT, run

# The files of every rendering, and those that an option adds, beside the engine's.
FILES = {
    "always": """
        .dockerignore
        .editorconfig
        .env
        .env.example
        .env.production.example
        .github/dependabot.yml
        .github/workflows/ci.yml
        .gitignore
        .pre-commit-config.yaml
        README.md
        conftest.py
        deploy/Caddyfile
        deploy/Dockerfile
        deploy/affinity.yaml
        deploy/compose.yaml
        deploy/gunicorn.conf.py
        docs/api.md
        docs/backups.md
        docs/billing.md
        docs/code.md
        docs/data.md
        docs/decisions.md
        docs/deploy.md
        docs/domains.md
        docs/email.md
        docs/incidents.md
        docs/isolation.md
        docs/operate.md
        docs/people.md
        docs/scale.md
        docs/sign_up.md
        docs/support.md
        docs/tenants.md
        docs/upgrade.md
        docs/uploads.md
        docs/workspace.md
        manage.py
        pyproject.toml
        server/__init__.py
        server/init_tenant.py
        server/locale/de/LC_MESSAGES/django.mo
        server/locale/de/LC_MESSAGES/django.po
        server/notes/__init__.py
        server/notes/admin.py
        server/notes/apps.py
        server/notes/migrations/0001_initial.py
        server/notes/migrations/__init__.py
        server/notes/models.py
        server/notes/templates/notes/notes.html
        server/notes/urls.py
        server/notes/views.py
        server/settings.py
        server/settings_public.py
        server/static/icon.svg
        server/static/site.css
        server/templates/base.html
        server/templates/tenant_home.html
        server/tenants/__init__.py
        server/tenants/apps.py
        server/tenants/management/__init__.py
        server/tenants/management/commands/__init__.py
        server/tenants/management/commands/seed_demo.py
        server/tenants/migrations/0001_initial.py
        server/tenants/migrations/0002_initial.py
        server/tenants/migrations/0003_alter_organization_name.py
        server/tenants/migrations/0004_domain_secure_since.py
        server/tenants/migrations/0005_tenant_accent_tenant_language_tenant_logo_file_and_more.py
        server/tenants/migrations/0006_tenant_plan_tenant_trial_ends.py
        server/tenants/migrations/__init__.py
        server/tenants/models.py
        server/tenants/receivers.py
        server/urls.py
        server/urls_public.py
        server/users/__init__.py
        server/users/migrations/0001_initial.py
        server/users/migrations/__init__.py
        server/users/models.py
        server/website/__init__.py
        server/website/admin.py
        server/website/templates/website/home.html
        server/website/views.py
        server/wsgi.py
        server/wsgi_main_website.py
        tests/__init__.py
        tests/settings.py
        tests/test_isolation.py
        tests/test_notes.py
        tests/test_pages.py
        tests/test_people.py
        tests/test_tenants.py
    """,
    "use_celery": """
        docs/background.md
        server/celery.py
        server/notes/tasks.py
        server/notes/templates/tenancy/email/digest.txt
        tests/test_tasks.py
    """,
    "use_postgis": """
        docs/geography.md
        server/places/__init__.py
        server/places/admin.py
        server/places/apps.py
        server/places/forms.py
        server/places/migrations/0001_initial.py
        server/places/migrations/__init__.py
        server/places/models.py
        server/places/static/places/maps.css
        server/places/static/places/maps.js
        server/places/static/places/places.js
        server/places/templates/places/places.html
        server/places/urls.py
        server/places/views.py
        tests/test_places.py
    """,
}
OPTIONS = [
    {"use_celery": celery, "use_postgis": postgis}
    for celery, postgis in product([False, True], repeat=2)
]
MARKER = re.compile(r"( *)# template: (?:(if cookiecutter\.use_(?:celery|postgis))|endif)")
JINJA = re.compile(r"\{\{|\{%|\{#")


@pytest.fixture(
    params=OPTIONS, ids=lambda options: "+".join(filter(options.get, options)) or "plain"
)
def options(request):
    return request.param


@pytest.fixture
def project(bake, options):
    baked = bake(**options)
    assert baked.exit_code == 0
    return baked.path


def texts(folder):
    """The files of a folder as text, by their path below it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text(errors="replace") for path in files}


def contents(folder):
    """The files of a folder as bytes, by their path below it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def assert_clean(folder):
    for command in (["check"], ["format", "--check"]):
        result = run(sys.executable, "-m", "ruff", *command, "--no-cache", cwd=folder)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "No Python files" not in result.stderr


def test_the_owners_files_are_exactly_these(project, options):
    parts = ["always", *filter(options.get, options)]
    owners = {file for file in texts(project) if not file.startswith("tenancy/")}
    assert owners == {file for part in parts for file in FILES[part].split()}


def test_the_engine_is_the_templates_byte_for_byte(project, template):
    engine = contents(template / PROJECT / "tenancy")
    assert engine
    assert contents(project / "tenancy") == engine


def test_without_celery_nothing_tells_of_it(bake):
    """The engine has all its parts always."""
    traces = re.compile(r"celery|redis-server|tenancy[./]background", re.IGNORECASE)
    files = texts(bake(use_celery=False).path).items()
    owners = [(name, text) for name, text in files if not name.startswith("tenancy/")]
    assert [name for name, text in owners if traces.search(name + text)] == []


def test_nothing_is_left_unrendered(project):
    left = re.compile(r"cookiecutter\.|#\s*template:")
    assert [name for name, text in texts(project).items() if left.search(text)] == []


def test_a_rendering_is_clean(project):
    assert_clean(project)
    for name, text in texts(project).items():
        if name.endswith(".py"):
            compile(text, name, "exec")


def test_the_unrendered_project_is_clean_in_place(template):
    assert_clean(template / PROJECT)


def test_the_template_is_clean(template):
    assert_clean(template)


def test_python_files_have_no_jinja(template):
    files = texts(template / PROJECT).items()
    assert [name for name, text in files if name.endswith(".py") and JINJA.search(text)] == []


def test_markers_are_spelled_and_paired_so_that_jinja_takes_them(template):
    """One that is spelled otherwise stays in the rendering; a blank line after one doesn't."""
    found = 0
    for name, text in texts(template / PROJECT).items():
        opening = None
        for line, following in pairwise([*text.rstrip("\n").split("\n"), "the end"]):
            if re.search(r"#\s*template\b", line):
                marker = MARKER.fullmatch(line)
                assert marker, f"{name}: {line}"
                indent, condition = marker.groups()
                assert opening == (None if condition else indent), f"{name}: {line} has no partner"
                assert following.strip(), f"{name}: a blank line after {line}"
                opening = indent if condition else None
                found += 1
        assert opening is None, f"{name}: the last marker has no partner"
    assert found


@pytest.mark.parametrize(
    "file",
    ["hooks/pre_gen_project.py", "hooks/post_gen_project.py", f"{PROJECT}/tenancy/env_file.py"],
)
def test_what_cookiecutters_python_runs_needs_no_more_than_3_8_and_its_library(template, file):
    tree = ast.parse((template / file).read_text(), feature_version=(3, 8))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    assert imported
    assert imported <= sys.stdlib_module_names
