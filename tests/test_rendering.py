"""Every combination of the options is rendered whole, clean, and with exactly its files."""

import ast
import re
import sys
from itertools import pairwise, product

import pytest
from conftest import PROJECT, run

# The files of every rendering, and those that an option adds.
FILES = {
    "always": """
        .env
        .env.example
        .gitignore
        README.md
        manage.py
        pyproject.toml
        server/__init__.py
        server/database/__init__.py
        server/database/base.py
        server/database/client.py
        server/database/memory.py
        server/database/schema.py
        server/env_file.py
        server/fields.py
        server/init_tenant.py
        server/local_postgres.py
        server/notes/__init__.py
        server/notes/admin.py
        server/notes/migrations/__init__.py
        server/notes/migrations/0001_initial.py
        server/notes/models.py
        server/notes/templates/notes/notes.html
        server/notes/urls.py
        server/notes/views.py
        server/postgres_binaries.py
        server/roles/__init__.py
        server/roles/admin.py
        server/roles/apps.py
        server/roles/migrations/__init__.py
        server/roles/migrations/0001_initial.py
        server/roles/models.py
        server/settings.py
        server/settings_public.py
        server/static/icon.svg
        server/static/site.css
        server/static/tenant_state.js
        server/templates/400.html
        server/templates/403.html
        server/templates/404.html
        server/templates/500.html
        server/templates/admin/base_site.html
        server/templates/admin/below_list.html
        server/templates/admin/confirm_action.html
        server/templates/admin/new_tenant.html
        server/templates/admin/roles/member/change_form.html
        server/templates/admin/roles/member/delete_confirmation.html
        server/templates/admin/tenant_state.html
        server/templates/base.html
        server/templates/deleted_host.html
        server/templates/new_member_email.txt
        server/templates/not_a_member.html
        server/templates/registration/login.html
        server/templates/registration/password_reset_complete.html
        server/templates/registration/password_reset_confirm.html
        server/templates/registration/password_reset_done.html
        server/templates/registration/password_reset_email.txt
        server/templates/registration/password_reset_form.html
        server/templates/registration/password_reset_subject.txt
        server/templates/suspended_host.html
        server/templates/tenant_home.html
        server/templates/tenant_ready_email.txt
        server/templates/unknown_host.html
        server/tenants/__init__.py
        server/tenants/admin.py
        server/tenants/admin_members.py
        server/tenants/admin_moves.py
        server/tenants/admin_new.py
        server/tenants/apps.py
        server/tenants/archive.py
        server/tenants/backup.py
        server/tenants/blueprint.py
        server/tenants/checks.py
        server/tenants/clone.py
        server/tenants/copying.py
        server/tenants/doctor.py
        server/tenants/domains.py
        server/tenants/errors.py
        server/tenants/every.py
        server/tenants/fleet/__init__.py
        server/tenants/fleet/carry_out.py
        server/tenants/fleet/drift.py
        server/tenants/fleet/owing.py
        server/tenants/fleet/plan.py
        server/tenants/fleet/recording.py
        server/tenants/fleet/replayable.py
        server/tenants/fleet/report.py
        server/tenants/fleet/targets.py
        server/tenants/fleet/ways.py
        server/tenants/guards.py
        server/tenants/hosts.py
        server/tenants/lifecycle.py
        server/tenants/locks.py
        server/tenants/logs.py
        server/tenants/management/__init__.py
        server/tenants/management/base.py
        server/tenants/management/commands/__init__.py
        server/tenants/management/commands/add_member.py
        server/tenants/management/commands/all_tenants_command.py
        server/tenants/management/commands/anonymise_user.py
        server/tenants/management/commands/backup_tenant.py
        server/tenants/management/commands/clone_tenant.py
        server/tenants/management/commands/collectstatic_schemas.py
        server/tenants/management/commands/create_domain.py
        server/tenants/management/commands/create_missing_schemas.py
        server/tenants/management/commands/create_public_tenant.py
        server/tenants/management/commands/create_tenant.py
        server/tenants/management/commands/create_tenant_superuser.py
        server/tenants/management/commands/create_user.py
        server/tenants/management/commands/deactivate_user.py
        server/tenants/management/commands/delete_domain.py
        server/tenants/management/commands/delete_tenant.py
        server/tenants/management/commands/flush.py
        server/tenants/management/commands/list_members.py
        server/tenants/management/commands/migrate.py
        server/tenants/management/commands/migrate_schemas.py
        server/tenants/management/commands/provision_tenant.py
        server/tenants/management/commands/purge_tenant.py
        server/tenants/management/commands/reactivate_user.py
        server/tenants/management/commands/remove_member.py
        server/tenants/management/commands/rename_schema.py
        server/tenants/management/commands/rename_tenant.py
        server/tenants/management/commands/restore_tenant.py
        server/tenants/management/commands/resume_tenant.py
        server/tenants/management/commands/suspend_tenant.py
        server/tenants/management/commands/tenant_command.py
        server/tenants/management/commands/tenant_doctor.py
        server/tenants/management/commands/tenants.py
        server/tenants/management/commands/transfer_tenant.py
        server/tenants/management/commands/undelete_tenant.py
        server/tenants/management/wrapped.py
        server/tenants/media.py
        server/tenants/members.py
        server/tenants/middleware.py
        server/tenants/migrate.py
        server/tenants/migrations/__init__.py
        server/tenants/migrations/0001_initial.py
        server/tenants/migrations/0002_initial.py
        server/tenants/migrations/0003_notify.py
        server/tenants/missing.py
        server/tenants/models.py
        server/tenants/moves.py
        server/tenants/people.py
        server/tenants/post_migrate.py
        server/tenants/provisioning.py
        server/tenants/purge.py
        server/tenants/receivers.py
        server/tenants/references.py
        server/tenants/reservation.py
        server/tenants/restore.py
        server/tenants/routes.py
        server/tenants/schema_names.py
        server/tenants/schemas.py
        server/tenants/signing.py
        server/tenants/snapshot.py
        server/tenants/undo.py
        server/tenants/uploads.py
        server/urls.py
        server/urls_public.py
        server/users/__init__.py
        server/users/admin.py
        server/users/backend.py
        server/users/fields.py
        server/users/forms.py
        server/users/migrations/__init__.py
        server/users/migrations/0001_initial.py
        server/users/models.py
        server/users/tokens.py
        server/users/urls.py
        server/website/__init__.py
        server/website/admin.py
        server/website/management/__init__.py
        server/website/management/commands/__init__.py
        server/website/management/commands/init_tenant.py
        server/website/templates/website/home.html
        server/website/views.py
        server/wsgi.py
        server/wsgi_main_website.py
        tests/__init__.py
        tests/conftest.py
        tests/copies.py
        tests/exotic/__init__.py
        tests/exotic/migrations/__init__.py
        tests/exotic/migrations/0001_initial.py
        tests/exotic/migrations/0002_kinds.py
        tests/exotic/models.py
        tests/processes.py
        tests/roles.py
        tests/schemas.py
        tests/settings.py
        tests/signals.py
        tests/statements.py
        tests/test_admin_deletes_nothing.py
        tests/test_admin_moves.py
        tests/test_admin_new.py
        tests/test_backup.py
        tests/test_blueprint.py
        tests/test_checks.py
        tests/test_clone.py
        tests/test_crowd.py
        tests/test_database.py
        tests/test_doctor.py
        tests/test_every_tenant.py
        tests/test_fleet.py
        tests/test_fleet_drift.py
        tests/test_fleet_faults.py
        tests/test_guards.py
        tests/test_hosts.py
        tests/test_imports.py
        tests/test_init_tenant.py
        tests/test_isolation.py
        tests/test_library_commands.py
        tests/test_lifecycle.py
        tests/test_lifecycle_commands.py
        tests/test_lives.py
        tests/test_locks.py
        tests/test_logs.py
        tests/test_media.py
        tests/test_member_commands.py
        tests/test_member_pages.py
        tests/test_members.py
        tests/test_members_at_once.py
        tests/test_missing_schemas.py
        tests/test_notes.py
        tests/test_nothing_is_lost.py
        tests/test_password_reset.py
        tests/test_people.py
        tests/test_provisioning.py
        tests/test_provisioning_killed.py
        tests/test_purge.py
        tests/test_rename_schema.py
        tests/test_requests.py
        tests/test_routes.py
        tests/test_schema.py
        tests/test_sessions.py
        tests/test_signals.py
        tests/test_signing.py
        tests/test_sites.py
        tests/test_snapshot.py
        tests/test_tenant_command.py
        tests/test_users.py
        tests/zoo.py
    """,
    "use_celery": """
        server/background/__init__.py
        server/background/app.py
        server/background/apps.py
        server/background/checks.py
        server/background/messages.py
        server/background/receivers.py
        server/background/request.py
        server/background/task.py
        server/background/tasks.py
        server/celery.py
        server/notes/tasks.py
        tests/tasks.py
        tests/test_celery.py
        tests/test_celery_provisioning.py
        tests/test_celery_workers.py
        tests/workers.py
    """,
    "use_postgis": """
        server/places/__init__.py
        server/places/admin.py
        server/places/fields.py
        server/places/forms.py
        server/places/migrations/0001_initial.py
        server/places/migrations/__init__.py
        server/places/models.py
        server/places/static/places/maps.css
        server/places/static/places/maps.js
        server/places/static/places/places.css
        server/places/static/places/places.js
        server/places/templates/places/places.html
        server/places/urls.py
        server/places/validators.py
        server/places/views.py
        server/postgis/__init__.py
        server/postgis/apps.py
        server/postgis/checks.py
        server/postgis/libraries.py
        server/postgis/migrations/0001_initial.py
        server/postgis/migrations/__init__.py
        tests/shapes/__init__.py
        tests/shapes/migrations/0001_initial.py
        tests/shapes/migrations/__init__.py
        tests/shapes/models.py
        tests/test_places.py
        tests/test_postgis.py
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


def assert_clean(folder):
    for command in (["check"], ["format", "--check"]):
        result = run(sys.executable, "-m", "ruff", *command, "--no-cache", cwd=folder)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "No Python files" not in result.stderr


def test_the_files_are_exactly_these(project, options):
    parts = ["always", *filter(options.get, options)]
    assert texts(project).keys() == {file for part in parts for file in FILES[part].split()}


def test_without_celery_nothing_tells_of_it(bake):
    traces = re.compile(r"celery|redis-server|server[./]background", re.IGNORECASE)
    files = texts(bake(use_celery=False).path).items()
    assert [name for name, text in files if traces.search(name + text)] == []


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
    ["hooks/pre_gen_project.py", "hooks/post_gen_project.py", f"{PROJECT}/server/env_file.py"],
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
