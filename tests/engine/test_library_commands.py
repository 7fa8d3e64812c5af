"""The libraries' other commands, which go our ways."""

import pytest
from django.core.management import CommandError, get_commands
from server.tenants.models import Domain, Tenant
from tenancy.models import TenantEvent
from tenant_users.permissions.models import UserTenantPermissions

NEW = ["--name=Evil", "--slug=evil", "--organization=org", "--owner=other"]
NEEDED = {
    "create_domain": ["--domain-domain", "further.example.com"],
    "delete_domain": ["--domain-domain", "further.example.com"],
    "create_tenant_superuser": ["--username", "other"],
}


def test_no_command_is_the_libraries_own():
    libraries = ("django_tenants", "tenant_users.tenants", "tenant_users.permissions")
    found = {name for name, app in get_commands().items() if app in libraries}
    assert found <= {"clone_tenant"}


@pytest.mark.usefixtures("db")
def test_create_tenant_makes_a_tenant_that_its_owner_can_enter(run):
    assert run("create_tenant", *NEW) == "evil.localhost"

    with Tenant.objects.get(slug="evil") as tenant:
        assert tenant.owner.username == "other"
        assert tenant.owner.is_superuser
    assert TenantEvent.objects.get(slug="evil").by == "manage.py"


@pytest.mark.usefixtures("db")
def test_create_tenant_takes_a_domain(run):
    domain = "--domain-domain=Evil.example.com"
    assert run("create_tenant", *NEW, domain, "--noinput", "-s") == "evil.example.com"
    assert Domain.objects.get(domain="evil.localhost").redirects


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "required: --name, --slug, --organization, --owner"),
        (NEW[:-1], "required: --owner"),
        ([*NEW, "--schema_name=evil"], "unrecognized arguments: --schema_name=evil"),
        ([*NEW, "--slug=../x"], "A slug takes"),
        ([*NEW, "--slug=first"], "“first” is taken"),
        ([*NEW, "--owner=nobody"], "There is no active user “nobody”"),
        ([*NEW, "--name="], "The tenant's name must have"),
        ([*NEW, "--name=" + "x" * 10_000], "The tenant's name must have"),
        ([*NEW, "--name=a\0"], "is no text"),
        ([*NEW, "--owner=a\udcff"], "is no text"),
        ([*NEW, "--domain-domain=../x"], "A host name takes"),
        ([*NEW, "--domain-domain=first.localhost"], "“first.localhost” is taken"),
    ],
)
def test_create_tenant_refuses_in_one_line_and_makes_nothing(run, arguments, says):
    with pytest.raises(CommandError, match=says) as refusal:
        run("create_tenant", *arguments)
    assert len(str(refusal.value).splitlines()) == 1
    assert not Tenant.all_objects.filter(slug="evil").exists()


def test_create_tenant_superuser_makes_a_member_who_may_do_everything(run, tenant, other_tenant):
    schema, other = f"--schema={tenant.schema_name}", other_tenant.owner
    tenant.deactivate()
    for again in range(2):
        said = run("create_tenant_superuser", schema, "--username=other", "--noinput")
        assert said == "“other” is a superuser in “first”.", again

    assert tenant.user_set.filter(pk=other.pk).exists()
    with tenant:
        rights = UserTenantPermissions.objects.get(profile=other)
        assert (rights.is_staff, rights.is_superuser) == (True, True)
    change = TenantEvent.objects.filter(action="add member").first()
    assert (change.by, change.slug, change.after) == ("manage.py", "first", "admin")


@pytest.mark.usefixtures("db")
def test_the_main_website_can_have_another_superuser(run):
    run("create_tenant_superuser", "public", "--username", "other@localhost")
    assert UserTenantPermissions.objects.get(profile__username="other").is_superuser


def test_a_further_domain_answers_until_it_is_removed(run, tenant):
    tenant.deactivate()
    further = ["first", "--domain-domain", "Further.example.com."]

    assert run("create_domain", *further) == "further.example.com"
    domain = tenant.domains.get(domain="further.example.com")
    assert (domain.is_primary, domain.redirects) == (False, False)
    assert run("delete_domain", *further, "--noinput") == "further.example.com is unknown."
    assert [str(each) for each in tenant.domains.all()] == ["first.localhost"]
    changes = TenantEvent.objects.filter(action="rename").values_list("before", "after")
    assert [*changes] == [("further.example.com", "removed"), ("", "further.example.com")]


def test_a_primary_domain_takes_the_place_of_the_other(run, tenant):
    tenant.deactivate()
    further = ["first", "--domain-domain", "further.example.com"]

    assert run("create_domain", *further, "--domain-is_primary") == "further.example.com"
    assert tenant.get_primary_domain().domain == "further.example.com"
    with pytest.raises(CommandError, match="is the primary domain: `rename_tenant` first"):
        run("delete_domain", *further)


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create_domain", "first", "-d", "other.localhost"], "“other.localhost” is taken"),
        (["create_domain", "first", "-d", "x/y"], "A host name takes"),
        (["create_domain", "first", "-d", "a.b:80"], "A host name takes"),
        (["create_domain", "first", "-d", "a" * 10_000], "A host name takes"),
        (["create_domain", "first", "-d", "a\0"], "is no text"),
        (["delete_domain", "first", "-d", "other.localhost"], "is no domain of “first”"),
        (["delete_domain", "first", "-d", "../x"], "A host name takes"),
        (["create_tenant_superuser", "first", "--username", "nobody"], "no active user “nobody”"),
        (["create_tenant_superuser", "first", "--username", ""], "no active user “”"),
        *(
            ([command, *which, *needed], says)
            for command, needed in NEEDED.items()
            for which, says in [
                ([], "Name the tenant by its slug, or by --schema"),
                (["nobody"], "There is no tenant with the slug “nobody”"),
                (["--schema", "0"], "There is no tenant with the schema name “0”"),
                (["a\udcff"], "is no text"),
                (["first", "--by", ""], "--by takes"),
            ]
        ),
        *(([command, "first"], "the following arguments are required") for command in NEEDED),
    ],
)
def test_a_bad_argument_is_refused_in_one_line(run, arguments, says):
    before = [*Domain.objects.values_list("domain")], TenantEvent.objects.count()
    with pytest.raises(CommandError, match=says) as refusal:
        run(*arguments)
    assert len(str(refusal.value).splitlines()) == 1
    assert ([*Domain.objects.values_list("domain")], TenantEvent.objects.count()) == before


@pytest.mark.parametrize("command", ["create_domain", "delete_domain"])
def test_a_deleted_tenant_stays_as_it_is(run, tenant, command):
    tenant.deactivate()
    Tenant.objects.filter(slug="first").update(status=Tenant.Status.DELETED)
    with pytest.raises(CommandError, match="“first”: it is deleted, not active or suspended"):
        run(command, "first", *NEEDED[command])


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        (["create_public_tenant", "--domain_url=x.y", "--owner_email=a@b.c"], "Call `init_tenant`"),
        (["collectstatic_schemas", "--schema=x", "--noinput"], "call `collectstatic`"),
        (["collectstatic_schemas", "--all-schemas"], "call `collectstatic`"),
    ],
)
def test_what_has_no_place_here_says_what_to_call_instead(run, arguments, instead):
    with pytest.raises(CommandError, match=instead):
        run(*arguments)


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("schema", ["a\0", "a\udcff", "0", "../x", "x" * 10_000])
@pytest.mark.parametrize(
    "command",
    [["migrate_schemas", "--canary"], ["migrate", "--schema"], ["tenant_doctor", "--slug"]],
)
def test_no_schema_is_taken_for_another(run, command, schema):
    with pytest.raises(CommandError, match=r"There is no tenant|No tenant|is no text") as refusal:
        run(*command, schema)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.usefixtures("db")
def test_migrate_is_migrate_schemas(run):
    looked = run("migrate_schemas", "--plan")
    assert run("migrate", "--plan") == looked
    assert "2 tenants" in looked
