"""The libraries' other commands, and our commands for domains."""

import pytest
from django.core.management import CommandError, call_command, get_commands
from server.tenants.models import Domain, Tenant
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
    changes = TenantEvent.objects.filter(action="rename").values_list("before", "after")
    assert [*changes] == [("further.example.com", "removed"), ("", "further.example.com")]


def test_a_primary_domain_takes_the_place_of_the_other(run, tenant):
    tenant.deactivate()

    added = run("add_domain", "first", "further.example.com", "--primary")
    assert added == "further.example.com"
    assert tenant.get_primary_domain().domain == "further.example.com"
    with pytest.raises(CommandError, match="is the primary domain: `rename_tenant` first"):
        run("remove_domain", "first", "further.example.com")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add_domain", "first", "other.localhost"], "“other.localhost” is taken"),
        (["add_domain", "first", "x/y"], "A host name takes"),
        (["add_domain", "first", "a.b:80"], "A host name takes"),
        (["add_domain", "first", "a" * 10_000], "A host name takes"),
        (["add_domain", "first", "a\0"], "is not valid text"),
        (["remove_domain", "first", "other.localhost"], "is no domain of “first”"),
        (["remove_domain", "first", "../x"], "A host name takes"),
        (["add_domain"], "the following arguments are required"),
        (["add_domain", "a.example.com"], "Name the tenant by its slug, or by --schema"),
        (["add_domain", "nobody", "a.example.com"], "There is no tenant with the slug “nobody”"),
        (["add_domain", "--schema=0", "a.example.com"], "There is no tenant with the schema name"),
        (["add_domain", "a\udcff", "a.example.com"], "is not valid text"),
        (["add_domain", "first", "a.example.com", "--by", ""], "--by takes"),
    ],
)
def test_a_bad_argument_is_refused_in_one_line(run, arguments, says):
    before = [*Domain.objects.values_list("domain")], TenantEvent.objects.count()
    with pytest.raises(CommandError, match=says) as refusal:
        run(*arguments)
    assert len(str(refusal.value).splitlines()) == 1
    assert ([*Domain.objects.values_list("domain")], TenantEvent.objects.count()) == before


@pytest.mark.parametrize("command", ["add_domain", "remove_domain"])
def test_a_deleted_tenant_stays_as_it_is(run, tenant, command):
    tenant.deactivate()
    Tenant.objects.filter(slug="first").update(status=Tenant.Status.DELETED)
    with pytest.raises(CommandError, match="“first”: it is deleted, not active or suspended"):
        run(command, "first", "further.example.com")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("schema", ["a\0", "a\udcff", "0", "../x", "x" * 10_000])
@pytest.mark.parametrize(
    "command",
    [["migrate_schemas", "--canary"], ["migrate", "--schema"], ["tenant_doctor", "--slug"]],
)
def test_no_schema_is_taken_for_another(run, command, schema):
    with pytest.raises(
        CommandError, match=r"There is no tenant|No tenant|is not valid text"
    ) as refusal:
        run(*command, schema)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.usefixtures("db")
def test_migrate_is_migrate_schemas(run):
    looked = run("migrate_schemas", "--plan")
    assert run("migrate", "--plan") == looked
    assert "2 tenants" in looked
