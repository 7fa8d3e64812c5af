"""The commands about people: what they do, what they refuse, and that they ask nothing."""

import io
import subprocess

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError
from tenancy.models import TenantEvent
from tenancy.people.members import list_members

from engine.processes import start

User = get_user_model()


@pytest.mark.parametrize("by_schema", [False, True])
def test_each_command_does_what_it_says(run, outside, by_schema):
    which = ["--schema", outside.schema_name] if by_schema else ["first"]
    made = run("create_user", "Ada", "Ada@example.com")
    assert made == "“ada” is created, with the e-mail ada@example.com."
    assert run("add_member", *which, "ada", "--by", "grace") == "“ada” is member of “first”."
    assert run("add_member", *which, "ada", "--role", "admin") == "“ada” is admin of “first”."

    title, *lines = run("list_members", *which).splitlines()
    today = f"{outside.created:%F}"
    assert title.split() == ["USER", "E-MAIL", "ROLE", "SINCE", "LAST", "SIGN-IN"]
    assert [line.split()[:3] for line in lines] == [
        ["ada", "ada@example.com", "admin"],
        ["admin", "admin@localhost", "owner"],
    ]
    assert lines[0].split()[4] == "never"
    assert len(lines[1].split()[3]) == len(today)

    assert run("remove_member", *which, "ada") == "“ada” is not a member of “first” any more."
    assert (
        run("deactivate_user", "ada") == "“ada” can't sign in any more, and belongs to no tenant."
    )
    assert run("reactivate_user", "ada") == "“ada” can sign in again, once a password is set."
    assert run("deactivate_user", "ada@example.com").startswith("“ada@example.com” can't sign in")
    assert run("anonymise_user", "ada") == "“ada” is anonymised."
    assert not User.objects.filter(username="ada").exists()
    assert TenantEvent.objects.get(action="add member").by == "grace"


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("line", ["analytical engine\n", "analytical engine"])
def test_a_password_comes_from_standard_input(run, monkeypatch, line):
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    run("create_user", "ada", "ada@example.com", "--password-stdin")
    assert User.objects.get(username="ada").check_password("analytical engine")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("line", ["", "\n", "a\0bcdefghijk\n", "a\udcffbcdefghijk\n", "12345678\n"])
def test_no_password_in_standard_input_makes_nobody(run, monkeypatch, line):
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    with pytest.raises(CommandError) as refusal:
        run("create_user", "ada", "ada@example.com", "--password-stdin")
    assert len(str(refusal.value).splitlines()) == 1
    assert not User.objects.filter(username="ada").exists()


@pytest.mark.usefixtures("outside", "ada")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create_user"], "the following arguments are required: username, email"),
        (["create_user", "ada", "x@example.com"], "already exists"),
        (["create_user", "grace", "ada@example.com"], "already exists"),
        (["create_user", "", ""], "cannot be blank"),
        (["create_user", "../x", "x@example.com"], "A user name takes"),
        (["create_user", "x" * 10_000, "x@example.com"], "A user name takes"),
        (["create_user", "a\0b", "x@example.com"], "is not valid text"),
        (["create_user", "x", "x\udcff@example.com"], "is not valid text"),
        (["create_user", "x", "x@example.com", "--password-stdin"], "There is no password"),
        (["add_member", "first"], "Name the tenant by its slug, or by --schema"),
        (["add_member", "nowhere", "ada"], "There is no tenant with the slug “nowhere”"),
        (["add_member", "first", "nobody"], "There is no active user “nobody”"),
        (["add_member", "first", ""], "There is no active user “”"),
        (["add_member", "first", "é" * 10_000], "There is no active user"),
        (["add_member", "first", "'; DROP TABLE users_user"], "There is no active user"),
        (["add_member", "first", "a\0b"], "is not valid text"),
        (["add_member", "first", "ada", "--role", "owner"], "A role is admin or member"),
        (["add_member", "first", "ada", "--role", ""], "A role is admin or member"),
        (["add_member", "first", "ada", "--by", ""], "--by takes 1 to 254 characters"),
        (["add_member", "first", "admin"], "“admin” owns “first”: transfer it first"),
        (["remove_member", "first", "admin"], "“admin” owns “first”: transfer it first"),
        (["remove_member", "first", "ada"], "“ada” is not a member of “first”"),
        (["remove_member", "--schema", "pg_catalog", "ada"], "There is no tenant with the schema"),
        (["list_members"], "Name the tenant by its slug, or by --schema"),
        (["list_members", "../first"], "There is no tenant"),
        (["deactivate_user"], "the following arguments are required: username"),
        (["deactivate_user", "admin"], "“admin” owns first, public: transfer that first"),
        (["deactivate_user", "nobody"], "There is no user “nobody”"),
        (["deactivate_user", "a\udcff"], "is not valid text"),
        (["deactivate_user", "0"], "There is no user “0”"),
        (["reactivate_user", "nobody"], "There is no user “nobody”"),
        (["anonymise_user", "ada"], "deactivate_user comes first"),
        (["anonymise_user", "ada", "--by", "x" * 255], "--by takes 1 to 254 characters"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run, outside, arguments, says):
    with pytest.raises(CommandError, match=says) as refusal:
        run(*arguments)

    assert len(str(refusal.value).splitlines()) == 1
    assert [user.username for user, *_ in list_members(outside)] == ["admin"]
    assert not TenantEvent.objects.exclude(action="provision").exists()


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["resume_tenant", "first"], "Can't resume “first”: it is active, not suspended."),
        (["deactivate_user", "nobody"], "There is no user “nobody”."),
        (
            ["create_user", "x", "x@example.com", "--password-stdin"],
            "There is no password in the first line of standard input.",
        ),
    ],
)
def test_a_shell_with_closed_input_sees_one_line_and_an_exit_status(arguments, says):
    process: subprocess.Popen = start(
        "import os, sys\n"
        "from django.core.management import execute_from_command_line\n"
        "sys.stdin.close()\n"
        f"execute_from_command_line(['manage.py', *{arguments!r}])"
    )
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err) == (1, "", f"CommandError: {says}\n")
