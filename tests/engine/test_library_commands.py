"""The libraries' other commands, and our commands for domains."""

import pytest
from django.core.management import CommandError, call_command, get_commands
from server.tenants.models import Tenant
from tenancy.management.refused import INSTEAD
from tenancy.models import TenantEvent


def test_no_command_is_the_libraries_own():
    libraries = ("django_tenants", "tenant_users.tenants", "tenant_users.permissions")
    assert not {name for name, app in get_commands().items() if app in libraries}


@pytest.mark.parametrize("command", INSTEAD)
@pytest.mark.parametrize("arguments", [[], ["--schema=x", "--noinput", "y"]])
def test_a_refused_command_says_what_to_call_instead(run, command, arguments):
    with pytest.raises(CommandError) as refusal:
        run(command, *arguments)
    assert str(refusal.value) == INSTEAD[command]
    for called in ("collectstatic", "add_domain", "remove_domain", "init_tenant", "add_member"):
        assert called not in INSTEAD[command] or called in get_commands()


def test_django_itself_cannot_empty_the_tables(db):
    with pytest.raises(CommandError, match="`purge_tenant` ends one tenant"):
        call_command("flush", interactive=False, reset_sequences=False, allow_cascade=True)


def test_a_further_domain_answers_until_it_is_removed(run, tenant):
    tenant.deactivate()

    assert run("add_domain", "first", "Further.example.com.") == "further.example.com"
    domain = tenant.domains.get(domain="further.example.com")
    assert (domain.is_primary, domain.redirects) == (False, False)
    said = run("remove_domain", "first", "further.example.com")
    assert said == "further.example.com is removed."
    assert [str(each) for each in tenant.domains.all()] == ["first.localhost"]
    changes = TenantEvent.objects.filter(action__in=["add domain", "remove domain"]).values_list(
        "before", "after"
    )
    assert [*changes] == [("further.example.com", "removed"), ("", "further.example.com")]


def test_a_primary_domain_takes_the_place_of_the_other(run, tenant):
    tenant.deactivate()

    added = run("add_domain", "first", "further.example.com", "--primary")
    assert added == "further.example.com"
    assert tenant.get_primary_domain().domain == "further.example.com"
    with pytest.raises(CommandError, match="is the primary domain: `rename_tenant` first"):
        run("remove_domain", "first", "further.example.com")


def test_a_deleted_tenant_gets_no_domain(run, tenant):
    tenant.deactivate()
    Tenant.objects.filter(slug="first").update(status=Tenant.Status.DELETED)
    with pytest.raises(CommandError, match="“first”: it is deleted, not active or suspended"):
        run("add_domain", "first", "further.example.com")


@pytest.mark.usefixtures("db")
def test_migrate_is_migrate_schemas(run):
    looked = run("migrate_schemas", "--plan")
    assert run("migrate", "--plan") == looked
    assert "2 tenants" in looked
