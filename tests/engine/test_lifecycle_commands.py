"""The commands for transitions: what they do, what they refuse, and that they ask nothing."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, load_command_class
from django.db import connection
from django.utils import timezone
from django_tenants.utils import schema_exists
from server.tenants.models import Tenant
from tenancy.models import TenantEvent

from engine.schemas import is_purged

Status = Tenant.Status
NEEDED = {"transfer_tenant": ["--to", "other"], "rename_tenant": ["--name", "Second"]}
COMMANDS = [
    *("suspend_tenant", "resume_tenant", "rename_tenant", "transfer_tenant"),
    *("delete_tenant", "undelete_tenant", "purge_tenant"),
]


def status():
    return Tenant.all_objects.get(slug="first").status


@pytest.mark.parametrize("by_schema", [False, True])
def test_each_command_does_what_it_says(run, outside, by_schema):
    which = ["--schema", outside.schema_name] if by_schema else ["first"]

    assert run("suspend_tenant", *which, "--by", "ada") == "“first” is suspended."
    assert status() == Status.SUSPENDED
    until = timezone.now() + timedelta(days=30)
    assert run("delete_tenant", *which) == f"“first” is deleted, and kept until {until:%F}."
    assert status() == Status.DELETED
    assert run("undelete_tenant", *which) == "“first” is suspended."
    assert run("resume_tenant", *which) == "“first” is active."
    assert run("transfer_tenant", *which, "--to", "other") == "“first” is other's."
    assert run("rename_tenant", *which, "--name", "Second") == "first.localhost"
    assert run("delete_tenant", *which, "--noinput").startswith("“first” is deleted")
    connection.check_constraints()  # as a commit does: what waits for one keeps a table from going
    assert run("purge_tenant", *which, "--now") == "“first” is purged."
    assert not Tenant.all_objects.filter(pk=outside.pk).exists()
    assert is_purged(outside.schema_name)

    changes = TenantEvent.objects.filter(schema_name=outside.schema_name).order_by("pk")
    assert [*changes.values_list("by", flat=True)] == ["admin", "ada"] + ["manage.py"] * 8


def test_a_rename_says_where_the_tenant_is(run, outside):
    assert run("rename_tenant", "first", "--new-slug", "second") == "second.localhost"
    assert run("rename_tenant", "second", "--domain", "Example.com") == "example.com"


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("which", "says"),
    [
        ([], "Name the tenant by its slug, or by --schema"),
        (["first", "--schema", "x"], "Name the tenant by its slug, or by --schema"),
        (["nobody"], "There is no tenant with the slug “nobody”"),
        ([""], "There is no tenant with the slug “”"),
        (["'; DROP SCHEMA public CASCADE; --"], "There is no tenant with the slug"),
        (["../../etc"], "There is no tenant with the slug"),
        (["é" * 10_000], "There is no tenant with the slug"),
        (["a\0b"], r"'a\\x00b' is not valid text"),
        (["a\udcff"], r"'a\\udcff' is not valid text"),
        (["--schema", "first"], "There is no tenant with the schema name “first”"),
        (["--schema", "pg_catalog"], "There is no tenant with the schema name"),
        (["first", "--by", ""], "--by takes 1 to 254 characters"),
        (["first", "--by", "x" * 255], "--by takes 1 to 254 characters"),
        (["first", "--by", "\0"], "is not valid text"),
        (["public"], "Can't .* “public”: "),
        (["first", "second"], "unrecognized arguments: second"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_a_bad_argument_is_refused_in_one_line(run, command, which, says):
    if command == "transfer_tenant" and which == ["public"]:
        which = ["public", "--to", "admin"]  # who owns it already
    with pytest.raises(CommandError, match=says) as refusal:
        run(command, *which, *(NEEDED.get(command, []) if "--to" not in which else []))

    assert len(str(refusal.value).splitlines()) == 1
    assert status() == Status.ACTIVE
    assert not TenantEvent.objects.exclude(action="provision").exists()


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["resume_tenant", "first"], "Can't resume “first”: it is active, not suspended"),
        (["undelete_tenant", "first"], "Can't undelete “first”: it is active, not deleted"),
        (["purge_tenant", "first", "--now"], "Can't purge “first”: it is active, not deleted"),
        (["rename_tenant", "first"], "Nothing to rename"),
        (["rename_tenant", "first", "--new-slug", "../x"], "A slug takes"),
        (["rename_tenant", "first", "--domain", "x/y"], "A host name takes"),
        (["transfer_tenant", "first"], "the following arguments are required: --to"),
        (["transfer_tenant", "first", "--to", "nobody"], "There is no active user “nobody”"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run, arguments, says):
    with pytest.raises(CommandError, match=says) as refusal:
        run(*arguments)

    assert len(str(refusal.value).splitlines()) == 1
    assert status() == Status.ACTIVE


def test_purging_waits_for_the_time_of_grace(run, outside):
    run("delete_tenant", "first")
    with pytest.raises(CommandError, match="it is kept until"):
        run("purge_tenant", "first")
    assert schema_exists(outside.schema_name)


@pytest.mark.usefixtures("db")
def test_the_librarys_command_for_deleting_is_ours(run):
    ours = load_command_class("tenancy", "delete_tenant")
    assert type(ours).__module__ == "tenancy.management.calls"
    with pytest.raises(CommandError, match="There is no tenant"):
        run("delete_tenant", schema_name="nobody", interactive=False)


def test_the_tenants_are_listed(run, outside):
    run("suspend_tenant", "first")
    outside.domains.update(is_primary=False)

    title, *lines = run("tenants").splitlines()

    assert title.split() == ["SLUG", "STATE", "OWNER", "DOMAIN", "SIZE", "AGE"]
    first, other, public = (line.split(maxsplit=4) for line in lines)
    assert first[:4] == ["first", "suspended", "admin", "none"]
    assert other[:4] == ["other", "active", "other", "other.localhost"]
    assert public[:4] == ["public", "active", "admin", "localhost"]
    assert "KB" in other[4] or "MB" in other[4]
    assert "minute" in other[4]
