"""Nothing that is wrong with a schema stays unseen."""

import pytest
import sqlparse
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from server.tenants.models import Tenant
from tenancy import copies, lifecycle
from tenancy.fleet import threads
from tenancy.health import doctor
from tenancy.isolation.router import tenant_app_labels
from tenancy.lifecycle import provision_tenant
from tenancy.people.members import add_member
from tenancy.schemas import blueprint
from tenant_users.permissions.models import UserTenantPermissions

from engine.copies import cleaned_up, exotic_installed, forget_blueprint, get, provision
from engine.zoo import ADD_COLOR, CREATE_ANIMAL

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
    def count_queries():
        with CaptureQueriesContext(connection) as queries:
            assert findings() == {}
        assert connection.tenant == tenant
        return len(queries)

    few = count_queries()
    provision_tenant("More", "more", "More", "admin")

    assert count_queries() == few


DELETE_ANIMAL = 'migrations.DeleteModel("Animal")'
MOVE_AWAY = f"migrations.SeparateDatabaseAndState(state_operations=[{DELETE_ANIMAL}])"
GONE = "(app, name, applied) VALUES ('gone', '0001_initial', now())"
NO_KEY = "ALTER TABLE notes_note DROP CONSTRAINT notes_note_pkey"


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("ALTER TABLE notes_note DROP text", "column notes_note.text (text)"),
        ("ALTER TABLE notes_note ALTER text TYPE varchar(9)", "is character varying(9)"),
        (
            'ALTER TABLE notes_note ALTER text TYPE text COLLATE "C"',
            'is text COLLATE "C"',
        ),
        ("ALTER TABLE notes_note ALTER text DROP NOT NULL", "not null notes_note.text"),
        ("ALTER TABLE notes_note ALTER id DROP IDENTITY", "identity notes_note.id (GENERATED BY"),
        (NO_KEY, "constraint notes_note.notes_note_pkey (PRIMARY KEY (id))"),
        ("DROP INDEX django_session_expire_date_a5c62663", "index django_session.django_session_e"),
        ("ALTER TABLE django_session DROP expire_date", "column django_session.expire_date"),
    ],
)
def test_nothing_that_a_tenant_lacks_stays_unseen(tenant, other_tenant, sql, found):
    """R9: what is missing or different is named, with a statement that repairs it."""
    execute(sql)

    [finding] = doctor.examine()

    assert (finding.obj, finding.id) == (tenant.schema_name, "tenancy.E110")
    assert found in finding.msg
    command, _, repair = finding.hint.partition("` opens psql; this makes it, without rows: ")
    assert command == f"`manage.py tenant_command dbshell --schema {tenant.schema_name}"
    for statement in sqlparse.split(repair):  # as psql does
        execute(statement)
    assert findings() == {}


@pytest.mark.usefixtures("public")
@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("ALTER TABLE users_user DROP name", "column users_user.name"),
        ("ALTER TABLE tenants_tenant DROP owner_id", "column tenants_tenant.owner_id (bigint)"),
        ("ALTER TABLE tenants_domain ALTER domain TYPE text", "column tenants_domain.domain"),
        ("ALTER TABLE tenants_domain DROP CONSTRAINT {}", "constraint tenants_domain."),
    ],
)
def test_nothing_that_public_lacks_stays_unseen(sql, found):
    """R9: the public schema is compared with its migrations."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint"
            " WHERE conrelid = 'tenants_domain'::regclass AND contype = 'f'"
        )
        [[key]] = cursor.fetchall()
    execute(sql.format(key))

    found_now = findings()

    assert found in found_now["public", "tenancy.E110"]


def test_what_a_tenant_has_besides_is_a_warning(tenant):
    """R9: an index more, or another name, does no harm."""
    execute("CREATE INDEX more ON notes_note (text)")
    assert findings() == {
        (tenant.schema_name, "tenancy.W113"): "has besides: index notes_note.more"
        " (CREATE INDEX ON own.notes_note USING btree (text))."
    }
    execute("DROP INDEX more")
    execute("ALTER INDEX notes_note_pkey RENAME TO other")
    assert "has under other names: " in findings()[tenant.schema_name, "tenancy.W113"]


def test_no_deleted_record_of_a_migration_stays_unseen(tenant):
    """R9: the command that it names repairs that."""
    execute("DELETE FROM django_migrations WHERE app = 'notes'")

    assert findings() == {
        (tenant.schema_name, "tenancy.E111"): "made, but not recorded: notes.0001_initial."
    }


def test_no_record_of_a_migration_that_the_code_lacks_stays_unseen(zoo):
    """R9: of a deployment that was taken back, and of an app that was removed."""

    def found():
        return {
            finding.obj: finding
            for finding in doctor.examine()
            if finding.id == "tenancy.W115" and finding.obj in zoo.schemas
        }

    zoo.write("0002_color", ADD_COLOR)
    zoo.migrate(schema_name=zoo.schemas[1])
    zoo.sql(f"INSERT INTO django_migrations {GONE}", schema=zoo.schemas[2])
    zoo.remove("0002_color")

    assert {schema: finding.msg for schema, finding in found().items()} == {
        zoo.schemas[1]: "records migrations that the code lacks: zoo.0002_color.",
        zoo.schemas[2]: "records migrations that the code lacks: gone.0001_initial.",
    }
    assert found()[zoo.schemas[2]].hint.endswith("delete them from django_migrations: gone.")
    zoo.write("0002_squashed", ADD_COLOR, replaces=["0002_color"], after="0001_initial")
    assert found().keys() == {zoo.schemas[2]}


def test_the_tables_that_an_app_or_a_model_leaves_behind_are_named(zoo, settings):
    """R11: the model went to another app, or the app was taken out of the settings."""
    left = dict.fromkeys(zoo.schemas, "no model has these tables: zoo_animal.")

    def found():
        found = {finding.obj: finding.msg for finding in doctor.examine() if finding.id == EXTRA}
        return {schema: found[schema] for schema in zoo.schemas if schema in found}

    assert found() == {}
    zoo.write("0002_move", MOVE_AWAY)
    zoo.migrate()
    assert found() == left

    settings.TENANT_APPS = [app for app in settings.TENANT_APPS if app != "zoo"]
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "zoo"]
    tenant_app_labels.cache_clear()
    assert found() == left
    tenant_app_labels.cache_clear()


def test_a_fleet_that_is_migrated_in_part_is_sound(zoo):
    """R9: with a canary ahead, what the others lack is a warning."""
    zoo.write("0002_cage", CREATE_ANIMAL.replace("Animal", "Cage"), ADD_COLOR)
    zoo.migrate(canary_only=True)
    canary, second, third, _ = zoo.schemas
    zoo.sql("ALTER TABLE zoo_animal DROP color", schema=canary)
    forget_blueprint()  # it was of the code without the zoo
    zoo.sql("ALTER TABLE zoo_animal DROP name", schema=third)

    found = {
        (finding.obj, finding.id): finding.msg
        for finding in doctor.examine()
        if finding.id != "tenancy.E105"  # the zoo's tenants have few tables
    }

    assert found[second, "tenancy.W112"] == "lacks migrations: zoo.0002_cage."
    assert "column zoo_animal.color" in found[canary, "tenancy.E110"]
    assert "column zoo_animal.name" in found[third, "tenancy.E110"]
    assert (second, "tenancy.E110") not in found
    assert not any("zoo_" in message for (_, number), message in found.items() if "W107" in number)


@pytest.mark.usefixtures("committed_db")
def test_copies_and_renamed_tenants_are_sound(tmp_path):
    """R9: a schema gives no false alarm, however it was made."""
    with exotic_installed(), cleaned_up():
        blueprint.refresh()
        replayed = provision("replayed")
        tenant = provision("exotic")
        migrated = f"{tenant.slug}_00000000"
        lifecycle.rename_schema(lifecycle.suspend(tenant, "ada"), "ada", migrated)
        copies.clone(get("exotic"), "cloned", "ada")
        copies.restore(
            copies.backup(get("cloned"), tmp_path / "file.zip", "ada"), "ada", slug="back"
        )
        lifecycle.delete(replayed, "ada")
        execute(f'DROP SCHEMA "{replayed.schema_name}" CASCADE')
        lifecycle.recreate_schema(get("replayed"), "ada")
        names = {get(slug).schema_name for slug in ("exotic", "cloned", "back", "replayed")}

        found = [finding for finding in doctor.examine() if finding.obj in names]

        assert {finding.id for finding in found} == {EXTRA}  # no model has the app's tables
        assert len(found) == len(names)
    blueprint.refresh()


def test_the_command_fails_for_errors_and_names_them(tenant, capsys):
    execute("DROP TABLE notes_note")
    execute("CREATE SCHEMA nobodys")

    with pytest.raises(SystemExit) as end:
        call_command("tenant_doctor")

    error, warning, counts = capsys.readouterr().out.splitlines()
    assert end.value.code == 1
    assert error.startswith(f"error    {tenant.schema_name}: missing: notes_note. Restore ")
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


def test_two_connections_find_what_one_does(zoo, monkeypatch):
    half, drifted, behind, _ = zoo.schemas
    rights = "permissions_usertenantpermissions"
    zoo.sql(f"CREATE TABLE {rights} AS SELECT 1 AS profile_id", schema=half)
    zoo.sql("ALTER TABLE auth_permission ALTER COLUMN name DROP NOT NULL", schema=drifted)
    zoo.sql("DELETE FROM django_migrations WHERE app = 'zoo'", schema=behind)
    alone = findings()
    monkeypatch.setattr(threads, "MANY", 0)

    assert findings() == alone
    assert {(half, "tenancy.E109"), (drifted, "tenancy.E110"), (behind, "tenancy.W112")} <= {*alone}


@pytest.fixture
def moved(zoo, settings):
    """The zoo's app, and how to move it to another list of apps."""

    def move(*lists):
        for name in ("SHARED_APPS", "TENANT_APPS"):
            apps = [app for app in getattr(settings, name) if app != "zoo"]
            setattr(settings, name, [*apps, *["zoo"] * (name in lists)])
        forget_blueprint()
        tenant_app_labels.cache_clear()

    yield move
    zoo.sql("DROP TABLE IF EXISTS public.zoo_animal")
    tenant_app_labels.cache_clear()


ZOO_APP = """
from django.db import models
class Animal(models.Model):
    name = models.CharField(max_length=20)
"""


def test_an_app_that_moved_between_the_lists_is_named_with_what_helps(zoo, moved, run):
    """R11: each command and statement that the doctor names works as typed."""

    def told():
        findings = doctor.examine()
        return {finding.obj: finding for finding in findings if "zoo_animal" in finding.msg}

    zoo.migrate(tenant=False)  # public records the migrations of the tenants' apps
    assert told() == {}

    moved("SHARED_APPS")
    found = told()
    assert found["public"].id == "tenancy.E105"
    assert "`manage.py create_missing_tables zoo`" in found["public"].hint
    assert run("create_missing_tables", "zoo") == "public has the tables of zoo."
    found = told()
    assert set(found) == set(zoo.schemas)
    for finding in found.values():
        assert finding.id == "tenancy.E106"
        execute(finding.hint.partition("`: ")[2])
    assert told() == {}

    moved("SHARED_APPS", "TENANT_APPS")
    assert {finding.id for finding in told().values()} == {"tenancy.E105"}
    run("create_missing_tables", "zoo", "--schema", zoo.schemas[1])
    assert set(told()) == {*zoo.schemas} - {zoo.schemas[1]}
    run("create_missing_tables", "zoo")
    assert told() == {}

    moved("TENANT_APPS")
    assert {schema: finding.id for schema, finding in told().items()} == {"public": EXTRA}
