"""What the commands refuse: in one line, without a question, and without a change."""

import pytest
from django.core.management import CommandError, get_commands, load_command_class
from django.db import connection
from server.tenants.models import Domain, Organization, Tenant
from server.users.models import User
from tenancy.management.base import LifecycleCommand, TenantCommand
from tenancy.management.refused import INSTEAD
from tenancy.models import TenantEvent

COMMANDS = {
    name: load_command_class(app, name)
    for name, app in sorted(get_commands().items())
    if app == "tenancy"
}
# What a command needs besides a tenant.
NEEDED = {
    "add_domain": ["a.example.com"],
    "add_member": ["ada"],
    "anonymise_user": ["ada"],
    "backup_tenant": ["/nowhere/x"],
    "clone_tenant": ["first", "x"],
    "create_user": ["x", "x@example.com"],
    "deactivate_user": ["ada"],
    "move_tenant": ["a:1"],
    "provision_tenant": ["Name", "x", "org", "ada"],
    "reactivate_user": ["ada"],
    "remove_domain": ["a.example.com"],
    "remove_member": ["ada"],
    "rename_tenant": ["--name", "Second"],
    "reset_mfa": ["ada"],
    "restore_rows": ["/nowhere/x", "notes_note"],
    "restore_tenant": ["/nowhere/x"],
    "transfer_tenant": ["--to", "other"],
}


def of(base):
    return [name for name, command in COMMANDS.items() if isinstance(command, base)]


@pytest.fixture
def refused(run, outside, ada):
    """Run a command that must fail; return what it says."""

    def everything():
        models = Tenant, Domain, Organization, User, TenantEvent
        return [[*model._base_manager.order_by("pk").values()] for model in models]

    def refused(*arguments):
        before = everything()
        with pytest.raises(CommandError) as refusal:
            run(*arguments)
        assert everything() == before
        assert len(str(refusal.value).splitlines()) == 1
        return str(refusal.value)

    return refused


@pytest.mark.parametrize("command", of(TenantCommand))
@pytest.mark.parametrize(
    ("which", "says"),
    [
        ([], "Name the tenant by its slug, or by --schema"),
        (["--schema", "x", "first"], "Name the tenant by its slug, or by --schema"),
        (["nobody"], "There is no tenant with the slug “nobody”"),
        ([""], "There is no tenant with the slug “”"),
        (["'; DROP SCHEMA public CASCADE; --"], "There is no tenant with the slug"),
        (["../../etc"], "There is no tenant with the slug"),
        (["é" * 10_000], "There is no tenant with the slug"),
        (["a\0b"], r"'a\x00b' is not valid text"),
        (["a\udcff"], r"'a\udcff' is not valid text"),
        (["--schema", "first"], "There is no tenant with the schema name “first”"),
        (["--schema", "pg_catalog"], "There is no tenant with the schema name"),
        (["--schema", "0"], "There is no tenant with the schema name “0”"),
        (["--schema", ""], "There is no tenant with the schema name “”"),
    ],
)
def test_the_tenant_must_be_named(refused, command, which, says):
    assert says in refused(command, *which, *NEEDED.get(command, []))


@pytest.mark.parametrize("command", of(LifecycleCommand))
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--by", ""], "--by takes 1 to 254 characters"),
        (["--by", "x" * 255], "--by takes 1 to 254 characters"),
        (["--by", "\0"], r"'\x00' is not valid text"),
        (["--by", "\udcff"], r"'\udcff' is not valid text"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_who_does_it_must_be_a_name(refused, command, arguments, says):
    which = ["first"] if isinstance(COMMANDS[command], TenantCommand) else []
    assert says in refused(command, *which, *NEEDED.get(command, []), *arguments)


@pytest.mark.parametrize("command", NEEDED)
@pytest.mark.parametrize("text", ["a\0", "a\udcff"])
def test_what_the_database_cannot_hold_is_no_text(refused, command, text):
    which = ["first"] if isinstance(COMMANDS[command], TenantCommand) else []
    assert f"{text!a} is not valid text" in refused(command, *which, *NEEDED[command][:-1], text)


@pytest.mark.parametrize(
    "command",
    [
        *("delete_tenant", "purge_tenant", "resume_tenant", "suspend_tenant", "undelete_tenant"),
        *("rename_schema", "rename_tenant"),
    ],
)
def test_the_main_website_stays(refused, command):
    says = refused(command, "public", *NEEDED.get(command, []))
    assert says.endswith("“public”: it is the main website.")


LONG = "x" * 10_000
SUPERUSER = ["createsuperuser", "--noinput", "--username=x", "--email=x@x.org"]


@pytest.mark.parametrize(
    ("command", "arguments", "says"),
    [
        ("add_domain", ["first", "other.localhost"], "“other.localhost” is taken"),
        ("add_domain", ["first", "x/y"], "A host name takes"),
        ("add_domain", ["first", "a.b:80"], "A host name takes"),
        ("add_domain", ["first", LONG], "A host name takes"),
        ("add_domain", [], "the following arguments are required"),
        ("add_member", ["first", ""], "There is no active user “”"),
        ("add_member", ["first", "ada", "--role", ""], "A role is admin or member"),
        ("add_member", ["first", "ada", "--role", "owner"], "A role is admin or member"),
        ("add_member", ["first", "admin"], "“admin” owns “first”: transfer it first"),
        ("add_member", ["first", "é" * 10_000], "There is no active user"),
        ("anonymise_user", ["ada"], "deactivate_user comes first"),
        ("backup_tenant", ["first", "/"], "it is there already"),
        ("backup_tenant", ["first", "/nowhere/x"], "can't be written: No such file"),
        ("clone_tenant", ["--clone_from", "nobody", "--slug", "x"], "the schema name “nobody”"),
        ("clone_tenant", ["first"], "Name the tenant to copy and the copy's slug"),
        ("clone_tenant", ["first", ""], "A slug takes"),
        ("clone_tenant", ["first", "other"], "“other” is taken"),
        ("clone_tenant", ["first", "x", "--clone_from", "x"], "Name the tenant to copy"),
        ("clone_tenant", ["first", "x", "--organization", LONG], "must have 1 to 200 characters"),
        ("clone_tenant", ["first", "x", "--owner", "nobody"], "There is no active user “nobody”"),
        ("clone_tenant", ["first", "x", "--slug", "y"], "Name the tenant to copy"),
        ("clone_tenant", ["nobody", "x"], "There is no tenant with the slug “nobody”"),
        ("create_missing_schemas", ["--schema", "public"], "The schema public isn't missing"),
        ("create_missing_schemas", ["--schema", "first"], "the schema name “first”"),
        ("create_missing_schemas", ["--schema", "\0"], "is not valid text"),
        ("create_missing_schemas", ["--schema"], "expected one argument"),
        ("create_missing_schemas", ["first"], "unrecognized arguments: first"),
        ("create_user", ["", ""], "cannot be blank"),
        ("create_user", ["../x", "x@example.com"], "A user name takes"),
        ("create_user", ["ada", "x@example.com"], "already exists"),
        ("create_user", ["grace", "ada@example.com"], "already exists"),
        ("create_user", ["x", "x@example.com", "--password-stdin"], "There is no password"),
        ("create_user", [LONG, "x@example.com"], "A user name takes"),
        ("deactivate_user", ["admin"], "“admin” owns first, public: transfer that first"),
        ("deactivate_user", ["nobody"], "There is no user “nobody”"),
        ("deactivate_user", [], "the following arguments are required: username"),
        ("migrate", ["--schema", "0"], "There is no tenant's schema “0”"),
        ("migrate", ["--schema", "a\udcff"], "is not valid text"),
        ("migrate_schemas", ["--canary", "../x"], "No tenant that is to be migrated"),
        ("migrate_schemas", ["--canary", "a\0"], "is not valid text"),
        ("provision_tenant", ["--abandon", "first"], "Can't abandon “first”: it is active, not p"),
        ("provision_tenant", ["--abandon", "nobody"], "There is no tenant with the slug “nobody”"),
        ("provision_tenant", ["--resume", ""], "There is no tenant with the slug “”"),
        ("provision_tenant", ["--resume", "first"], "Can't provision “first”: it is active, not p"),
        ("provision_tenant", ["a", "b", "--resume", "x"], "take a slug and nothing else"),
        ("provision_tenant", ["x", "www", "org", "admin"], "The slug “www” is reserved"),
        ("provision_tenant", ["x", "x", "org", "nobody"], "There is no active user “nobody”"),
        ("provision_tenant", [], "All of these are needed: name, slug, organization, username"),
        ("purge_tenant", ["first", "--now"], "Can't purge “first”: it is active, not deleted"),
        ("reactivate_user", ["nobody"], "There is no user “nobody”"),
        ("remove_domain", ["first", "../x"], "A host name takes"),
        ("remove_domain", ["first", "other.localhost"], "is no domain of “first”"),
        ("remove_member", ["first", "ada"], "“ada” is not a member of “first”"),
        ("remove_member", ["first", "admin"], "“admin” owns “first”: transfer it first"),
        ("rename_schema", ["first", "--rename_to", "../x"], "A schema's name is"),
        ("rename_schema", ["--rename_to", "first_00000000"], "Name the tenant by its slug"),
        ("rename_tenant", ["first"], "Nothing to rename"),
        ("rename_tenant", ["first", "--domain", "x/y"], "A host name takes"),
        ("rename_tenant", ["first", "--new-slug", "../x"], "A slug takes"),
        ("restore_tenant", ["/"], "can't be restored: Is a directory"),
        ("restore_tenant", ["/nowhere/x"], "can't be restored: No such file"),
        ("restore_tenant", [__file__], "File is not a zip file"),
        ("resume_tenant", ["first"], "Can't resume “first”: it is active, not suspended"),
        ("suspend_tenant", ["first", "second"], "unrecognized arguments: second"),
        ("tenant_command", ["--schema=x", "--slug=y", "check"], "not allowed with"),
        ("tenant_command", ["a\0", "--slug=first"], r"There is no command 'a\x00'"),
        ("tenant_command", ["all_tenants_command", "x", "--slug=first"], "finds the tenants its"),
        ("tenant_command", ["all_tenants_command"], "arguments are required: COMMAND"),
        ("tenant_command", [*SUPERUSER, "--slug=first"], "Schema must be public"),
        ("tenant_command", ["dumpdata", "--nothing", "--slug=first"], "unrecognized arguments: --"),
        ("tenant_command", ["loaddata", "--schema", ""], "the schema name “”"),
        ("tenant_command", ["loaddata", "--slug", "a\0"], "is not valid text"),
        ("tenant_command", ["loaddata", "--slug", LONG], "There is no tenant with the slug"),
        ("tenant_command", ["loaddata", "x", "--schema"], "expected one argument"),
        ("tenant_command", ["loaddata", "x", "--slug=first"], "No fixture named 'x' found"),
        ("tenant_command", ["loaddata"], "Name the tenant by its slug, or by --schema"),
        ("tenant_command", ["migrate", "--slug=first"], "“migrate” finds the tenants itself"),
        ("tenant_command", [], "the following arguments are required: COMMAND"),
        ("tenant_doctor", ["--slug", "a\0"], "is not valid text"),
        ("tenant_doctor", ["--slug", "nobody"], "There is no tenant with the slug “nobody”"),
        ("transfer_tenant", ["first", "--to", "nobody"], "There is no active user “nobody”"),
        ("transfer_tenant", ["first"], "the following arguments are required: --to"),
        ("transfer_tenant", ["public", "--to", "admin"], "Can't transfer “public”: admin owns it"),
        ("undelete_tenant", ["first"], "Can't undelete “first”: it is active, not deleted"),
        ("all_tenants_command", ["dumpdata", "--nothing"], "unrecognized arguments: --nothing"),
        ("all_tenants_command", ["loaddata"], "No database fixture specified"),
        ("all_tenants_command", ["nothing"], "There is no command 'nothing'"),
        ("all_tenants_command", ["suspend_tenant", "first"], "finds the tenants itself"),
        ("all_tenants_command", [], "the following arguments are required: COMMAND"),
    ],
)
def test_a_bad_argument(refused, command, arguments, says):
    assert says in refused(command, *arguments)


@pytest.mark.parametrize("more", [["--slug", "other"], ["--schema=other"]])
def test_after_the_command_an_option_is_its_own_if_the_tenant_is_named_before(refused, more):
    says = refused("tenant_command", "--slug=first", "dumpdata", "notes", *more)
    assert "unrecognized arguments: --s" in says


# The arguments of commands that aren't in NEEDED, to get as far as the database.
MORE = {
    "all_tenants_command": ["check"],
    "backup_all": ["--to", "/nowhere"],
    "create_missing_tables": ["notes"],
    "end_sessions": ["--all"],
    "rename_schema": ["first", "--rename_to", "first_00000000"],
    "tenant_command": ["check", "--slug=first"],
}
OTHERS = {
    *("archives", "make_env", "runserver", "upgrade_tenancy", *INSTEAD),  # don't need the database
    *("restore_drill", "restore_tenant"),  # read an archive first
}
OF_DJANGO = {"check": ["--database", "default"], "dumpdata": []}


@pytest.fixture
def away(committed_db, free_port, monkeypatch):
    """The database is away, and the process has no connection that is open."""
    connection.close()
    for name, value in {"HOST": "127.0.0.1", "PORT": free_port, "SERVER": None}.items():
        monkeypatch.setitem(connection.settings_dict, name, value)
    yield
    connection.close()


@pytest.mark.usefixtures("away")
@pytest.mark.parametrize("command", sorted((COMMANDS.keys() - OTHERS) | OF_DJANGO.keys()))
def test_a_command_says_in_one_line_that_the_database_is_away(run, command):
    is_of_tenant = isinstance(COMMANDS.get(command), TenantCommand) and command not in MORE
    arguments = (NEEDED | MORE | OF_DJANGO).get(command, [])
    with pytest.raises(CommandError, match="No connection to the database: ") as refusal:
        run(command, *["first"] * is_of_tenant, *arguments)

    assert len(str(refusal.value).splitlines()) == 1
