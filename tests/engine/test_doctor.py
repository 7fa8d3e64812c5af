"""Nothing that is wrong with a schema stays unseen."""

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from server.tenants.models import Tenant
from tenancy.health import doctor
from tenancy.people.members import add_member
from tenant_users.permissions.models import UserTenantPermissions

EXTRA = "tenancy.W107"


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def findings():
    return {(finding.obj, finding.id): finding.msg for finding in doctor.examine()}


@pytest.fixture
def renamed(tenant):
    """A schema under a name that its tenant doesn't know."""
    execute(f'ALTER SCHEMA "{tenant.schema_name}" RENAME TO lost')


@pytest.mark.usefixtures("db")
def test_what_is_sound_is_not_reported():
    assert findings() == {}


@pytest.mark.parametrize(
    "table", ["notes_note", "auth_group_permissions", "django_migrations", "django_session"]
)
def test_no_tenant_lacks_a_table_unseen(tenant, table):
    execute(f"DROP TABLE {table} CASCADE")

    assert findings() == {(tenant.schema_name, "tenancy.E105"): f"missing: {table}."}


@pytest.mark.usefixtures("db")
def test_the_public_schema_lacks_no_table_unseen():
    execute("DROP TABLE django_session")

    assert findings() == {("public", "tenancy.E105"): "missing: django_session."}


def test_no_tenant_has_people_of_its_own_unseen(tenant):
    execute(f'CREATE TABLE "{tenant.schema_name}".users_user (id bigint)')

    assert findings() == {
        (tenant.schema_name, "tenancy.E106"): "hides shared tables behind its own: users_user."
    }


def test_no_table_of_nobody_stays_unseen(tenant):
    execute("CREATE TABLE old_b (id bigint); CREATE TABLE old_a (id bigint)")
    execute("CREATE TABLE public.notes_note (id bigint)")

    assert findings() == {
        (tenant.schema_name, EXTRA): "no model has these tables: old_a, old_b.",
        ("public", EXTRA): "no model has these tables: notes_note.",
    }


def test_a_partition_is_no_table_of_its_own(tenant):
    execute("CREATE TABLE log (at date) PARTITION BY RANGE (at)")
    execute("CREATE TABLE log_old PARTITION OF log DEFAULT")

    assert findings() == {(tenant.schema_name, EXTRA): "no model has these tables: log."}


@pytest.mark.usefixtures("renamed")
def test_neither_a_lost_schema_nor_a_schema_of_nobody_stays_unseen(tenant):
    assert findings() == {
        (tenant.schema_name, "tenancy.E103"): "the schema of a tenant that is active is missing.",
        ("lost", "tenancy.W104"): "a schema without a tenant.",
    }


@pytest.mark.usefixtures("renamed")
def test_a_schema_that_the_settings_name_needs_no_tenant(tenant, settings):
    settings.PG_EXTRA_SEARCH_PATHS = ["lost"]

    assert findings().keys() == {(tenant.schema_name, "tenancy.E103")}


def test_no_half_made_tenant_stays_unseen(tenant):
    Tenant.all_objects.filter(pk=tenant.pk).update(status=Tenant.Status.PROVISIONING)

    assert findings() == {
        (tenant.schema_name, "tenancy.W102"): "half made: provisioning, with a schema."
    }


@pytest.mark.usefixtures("renamed")
def test_no_reserved_tenant_stays_unseen(tenant):
    Tenant.all_objects.filter(pk=tenant.pk).update(status=Tenant.Status.PROVISIONING)

    assert findings()[tenant.schema_name, "tenancy.W102"] == (
        "half made: provisioning, without a schema."
    )


@pytest.mark.parametrize("status", [Tenant.Status.SUSPENDED, Tenant.Status.DELETED])
def test_a_tenant_that_answers_nobody_is_looked_at_all_the_same(tenant, status):
    Tenant.objects.filter(pk=tenant.pk).update(status=status)
    assert findings() == {}

    execute("DROP TABLE notes_note")
    assert findings().keys() == {(tenant.schema_name, "tenancy.E105")}

    execute(f'DROP SCHEMA "{tenant.schema_name}" CASCADE')
    assert findings() == {
        (tenant.schema_name, "tenancy.E103"): f"the schema of a tenant that is {status} is missing."
    }


def test_no_half_purged_tenant_stays_unseen(tenant):
    Tenant.all_objects.filter(pk=tenant.pk).update(status=Tenant.Status.PURGING)
    (finding,) = doctor.examine()

    assert (finding.id, finding.msg) == ("tenancy.W108", "half purged, with a schema.")
    assert f"purge_tenant --schema {tenant.schema_name}" in finding.hint

    execute(f'DROP SCHEMA "{tenant.schema_name}" CASCADE')
    (finding,) = doctor.examine()
    assert finding.msg == "half purged, without a schema."


@pytest.mark.parametrize("slug", ["first", "public"])
def test_no_tenant_is_out_of_reach_unseen(public, tenant, slug):
    tenant = {"first": tenant, "public": public}[slug]
    tenant.domains.update(is_primary=False)

    assert findings().keys() == {(tenant.schema_name, "tenancy.E101")}


@pytest.mark.usefixtures("db")
def test_before_the_first_migration_there_is_one_finding():
    execute("ALTER TABLE tenants_tenant RENAME TO other")

    assert findings() == {
        ("public", "tenancy.E100"): "the tenants can't be read: relation"
        ' "tenants_tenant" does not exist.'
    }
    execute("SELECT 1")  # a transaction around it goes on


def test_a_tenant_more_is_no_query_more(tenant):
    with CaptureQueriesContext(connection) as queries:
        assert findings() == {}

    assert connection.tenant == tenant
    questions = [sql for query in queries if "SELECT" in (sql := query["sql"])]
    assert len(questions) == 4


def test_the_command_fails_for_errors_and_names_them(tenant, capsys):
    execute("DROP TABLE notes_note")
    execute("CREATE SCHEMA nobodys")

    with pytest.raises(SystemExit) as end:
        call_command("tenant_doctor")

    error, warning, counts = capsys.readouterr().out.splitlines()
    assert end.value.code == 1
    assert error.startswith(f"error    {tenant.schema_name}: missing: notes_note. Run ")
    assert warning.startswith("warning  nobodys: a schema without a tenant. Drop it ")
    assert counts == "Errors: 1. Warnings: 1."


@pytest.mark.usefixtures("db")
def test_the_command_does_not_fail_for_warnings(capsys, settings):
    execute("CREATE SCHEMA nobodys")

    call_command("tenant_doctor")
    assert capsys.readouterr().out.endswith("\nErrors: 0. Warnings: 1.\n")

    settings.SILENCED_SYSTEM_CHECKS = ["tenancy.W104"]
    call_command("tenant_doctor")
    assert capsys.readouterr().out == "Errors: 0. Warnings: 0.\n"


def test_the_command_looks_at_one_tenant(tenant, other_tenant, capsys):
    execute("CREATE TABLE old (id bigint)")

    for option in ({"slug": tenant.slug}, {"schema_name": tenant.schema_name}):
        call_command("tenant_doctor", **option)
        assert capsys.readouterr().out.endswith("Warnings: 1.\n")
    call_command("tenant_doctor", slug=other_tenant.slug)
    assert capsys.readouterr().out.endswith("Warnings: 0.\n")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("option", "what"), [({"slug": ""}, "slug “”"), ({"schema_name": "x"}, "schema name “x”")]
)
def test_the_command_knows_no_tenant_of_another_name(option, what):
    with pytest.raises(CommandError, match=f"There is no tenant with the {what}"):
        call_command("tenant_doctor", **option)


@pytest.mark.parametrize("missing", ["rights", "user.tenants"])
def test_no_half_of_a_membership_stays_unseen(tenant, missing):
    person = get_user_model().objects.get(username="other")
    add_member(tenant, "other", by="admin")
    if missing == "rights":
        UserTenantPermissions.objects.filter(profile_id=person.pk).delete()
    else:
        person.tenants.remove(tenant)

    assert findings() == {(tenant.schema_name, "tenancy.E109"): "half a member: other."}
    add_member(tenant, "other", by="admin")
    assert findings() == {}
