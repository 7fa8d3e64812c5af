"""The commands about people: what they do, what they refuse, and that they ask nothing."""

import io

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError
from tenancy.models import TenantEvent

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


def test_the_owner_is_told_whom_an_operator_adds(
    run, outside, ada, mailoutbox, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        run("add_member", "first", "ada", "--role", "admin", "--by", "grace")
        run("add_member", "first", "ada")  # another role isn't another person

    [mail] = mailoutbox
    assert mail.to == [outside.owner.email]
    assert mail.subject == "ada is in First Tenant now"
    for text in ("ada (ada@example.com)", "“Admin”", "http://first.localhost/workspace/people/"):
        assert text in mail.body


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


@pytest.mark.usefixtures("committed_db")
def test_a_shell_with_closed_input_sees_one_line_and_an_exit_status():
    process = start(
        "import os, sys\n"
        "from django.core.management import execute_from_command_line\n"
        "sys.stdin.close()\n"
        "command = 'create_user', 'x', 'x@example.com', '--password-stdin'\n"
        "execute_from_command_line(['manage.py', *command])"
    )
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (1, "")
    assert err == "CommandError: There is no password in the first line of standard input.\n"
