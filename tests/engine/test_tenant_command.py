"""Django's commands in one tenant, and in every one."""

import json
import shutil

import pytest
from django.core.management import CommandError
from django.db import connection
from server.notes.models import Note
from server.tenants.models import Tenant

from engine.processes import start

TITLE = "Applying command to: "


@pytest.fixture
def outside(tenant):
    Note.objects.create(text="of the first", author_id=tenant.owner_id)
    tenant.deactivate()
    return tenant


def texts(output):
    return [row["fields"]["text"] for row in json.loads(output)]


def test_a_command_runs_in_the_tenant_that_is_named(run, outside):
    schema = outside.schema_name
    for named in (
        ["tenant_command", "dumpdata", "notes", f"--schema={schema}"],
        ["tenant_command", "dumpdata", "--schema", schema, "notes"],
        ["tenant_command", "dumpdata", "notes", "-s", schema],
        ["tenant_command", "dumpdata", "notes", "--slug", "first"],
        ["tenant_command", "--schema", schema, "dumpdata", "notes"],
        ["tenant_command", "--slug=first", "dumpdata", "notes"],
    ):
        assert texts(run(*named)) == ["of the first"]
    assert texts(run("tenant_command", "dumpdata", "notes", schema_name=schema)) == ["of the first"]
    assert texts(run("tenant_command", "dumpdata", "notes", "--slug", "other")) == []


def test_a_fixture_is_loaded_into_the_tenant(run, outside, other_tenant, tmp_path):
    fixture = tmp_path / "notes.json"
    fixture.write_text(run("tenant_command", "dumpdata", "notes", "--slug=first"))

    run("tenant_command", "loaddata", str(fixture), f"--schema={other_tenant.schema_name}")
    with other_tenant:
        assert Note.objects.get().text == "of the first"
    with outside:
        assert Note.objects.count() == 1


@pytest.mark.parametrize("status", [Tenant.Status.SUSPENDED, Tenant.Status.DELETED])
def test_a_tenant_whose_hosts_do_not_answer_can_be_entered(run, outside, status):
    Tenant.objects.filter(pk=outside.pk).update(status=status)
    assert texts(run("tenant_command", "dumpdata", "notes", "--slug=first")) == ["of the first"]


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (Tenant.Status.PROVISIONING, "first can't be entered: it is provisioning."),
        (Tenant.Status.PURGING, "first can't be entered: it is purging."),
    ],
)
def test_a_tenant_without_a_schema_cannot(run, outside, status, says):
    Tenant.objects.filter(pk=outside.pk).update(status=status)
    with pytest.raises(CommandError, match=says):
        run("tenant_command", "dumpdata", "notes", "--slug=first")


def test_every_tenant_and_the_public_schema_have_their_turn(run, outside, other_tenant):
    schemas = [outside.schema_name, other_tenant.schema_name]
    titles = [f"{TITLE}{schema}" for schema in [*schemas, "public"]]

    assert run("all_tenants_command", "clearsessions").splitlines() == titles
    assert run("tenant_command", "all_tenants_command", "clearsessions").splitlines() == titles
    for without_public in (
        ["all_tenants_command", "--no-public", "clearsessions"],
        ["all_tenants_command", "clearsessions", "--no-public"],
    ):
        assert run(*without_public).splitlines() == titles[:-1]
    assert run("all_tenants_command", "clearsessions", no_public=True).splitlines() == titles[:-1]

    with pytest.raises(CommandError, match="3 of 3 tenants failed"):
        run("all_tenants_command", "dumpdata", "--", "--no-public")  # an app, to that command
    out = run("all_tenants_command", "--no-public", "dumpdata", "notes")
    assert out.count("of the first") == 1


def test_only_active_tenants_have_their_turn(run, outside):
    Tenant.objects.filter(pk=outside.pk).update(status=Tenant.Status.SUSPENDED)
    assert outside.schema_name not in run("all_tenants_command", "clearsessions")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CommandError("No."), "No."),
        (ZeroDivisionError("two\nlines"), "ZeroDivisionError: two"),
        (SystemExit(3), "exit status 3"),
        (EOFError(), "EOFError"),
    ],
)
def test_one_that_fails_stops_no_other(run, outside, capsys, monkeypatch, error, reason):
    def handle(self, **options):
        if outside.schema_name in capsys.readouterr().out:
            raise error
        self.stdout.write("done")

    monkeypatch.setattr(
        "django.contrib.sessions.management.commands.clearsessions.Command.handle", handle
    )
    with pytest.raises(CommandError) as failure:
        run("all_tenants_command", "clearsessions")

    assert str(failure.value) == f"1 of 3 tenants failed.\n  first: {reason}"
    assert failure.value.returncode == 1
    assert capsys.readouterr().out == "done\n"


@pytest.mark.usefixtures("committed_db")
def test_a_shell_sees_what_the_command_says_and_its_exit_status():
    code = """
import sys
from django.core.management import execute_from_command_line
sys.stdin.close()
execute_from_command_line(["manage.py", *{!r}])
"""

    def shell(*arguments):
        process = start(code.format(arguments))
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    status, out, err = shell("tenant_command", "dumpdata", "notes", "--slug=other")
    assert (status, out.strip(), err) == (0, "[]", "")
    status, _, err = shell("tenant_command", "dumpdata", "--nothing", "--slug=other")
    assert (status, err.splitlines()[-1]) == (
        *(2,),
        "manage.py dumpdata: error: unrecognized arguments: --nothing",
    )
    assert shell("tenant_command", "loaddata") == (
        *(1, ""),
        "CommandError: Name the tenant by its slug, or by --schema.\n",
    )
    status, _, err = shell("all_tenants_command", "loaddata", "nothing")
    assert (status, err.splitlines()[-4:]) == (
        *(1,),
        [
            "CommandError: 3 of 3 tenants failed.",
            *(
                f"  {slug}: No fixture named 'nothing' found."
                for slug in ("first", "other", "public")
            ),
        ],
    )


def test_psql_begins_in_the_tenant(tenant):
    _, env = connection.client.settings_to_cmd_args_env(connection.settings_dict, [])
    parameters = connection.get_connection_params() | {"options": env["PGOPTIONS"]}
    psql = connection.Database.connect(**parameters)
    try:
        cursor = psql.cursor()
        cursor.execute("SELECT current_schemas(false)")
        assert cursor.fetchone() == ([tenant.schema_name, "public"],)
    finally:
        psql.close()


@pytest.mark.usefixtures("db")
def test_dbshell_needs_no_connection_first():
    if "SERVER" not in connection.settings_dict and not shutil.which("psql"):
        pytest.skip("requires psql on PATH, as DATABASE_URL is set")
    process = start("""
from django.core.management import call_command
call_command("dbshell", "--", "--no-psqlrc", "--tuples-only", "--no-align")
""")
    output, errors = process.communicate("SELECT current_database(), current_schema();\n")
    assert (output, errors) == (f"{connection.settings_dict['NAME']}|public\n", "")
