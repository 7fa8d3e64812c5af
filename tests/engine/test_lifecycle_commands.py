"""The commands for transitions: what they do, what they refuse, and that they ask nothing."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, load_command_class
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from server.tenants.models import Tenant
from tenancy.database import citus
from tenancy.models import TenantEvent

from engine.schemas import is_purged

Status = Tenant.Status


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
    with pytest.raises(CommandError, match="it is kept until"):
        run("purge_tenant", *which)
    connection.check_constraints()  # as a commit does: what waits for one keeps a table from going
    assert run("purge_tenant", *which, "--now") == "“first” is purged."
    assert not Tenant.all_objects.filter(pk=outside.pk).exists()
    assert is_purged(outside.schema_name)

    changes = TenantEvent.objects.filter(schema_name=outside.schema_name).order_by("pk")
    assert [*changes.values_list("by", flat=True)] == ["admin", "ada"] + ["manage.py"] * 8


def test_a_rename_says_where_the_tenant_is(run, outside):
    assert run("rename_tenant", "first", "--new-slug", "second") == "second.localhost"
    assert run("rename_tenant", "second", "--domain", "Example.com") == "example.com"


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

    node = ["NODE"] * citus.is_citus()
    assert title.split() == ["SLUG", "STATE", "OWNER", "DOMAIN", "AGE", *node, "ORIGIN"]
    first, other, public = (line.split(maxsplit=4) for line in lines)
    assert first[:4] == ["first", "suspended", "admin", "none"]
    assert other[:4] == ["other", "active", "other", "other.localhost"]
    assert public[:4] == ["public", "active", "admin", "localhost"]
    assert "minute" in other[4]


@pytest.mark.parametrize("word", ["Oth", "other.local"])
def test_of_many_tenants_some_are_listed(run, outside, word):
    lines = run("tenants", word, sizes=True).splitlines()

    assert [line.split()[0] for line in lines] == ["SLUG", "other"]
    assert lines[0].split()[4] == "SIZE"
    assert "KB" in lines[1] or "MB" in lines[1]


@pytest.mark.usefixtures("db")
def test_the_list_asks_for_sizes_only_if_they_are_wanted(run):
    """PostgreSQL looks at each file for them."""
    with CaptureQueriesContext(connection) as queries:
        run("tenants")

    assert "size" not in str([query["sql"] for query in queries])
