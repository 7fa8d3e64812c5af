"""A new tenant gets a spare schema: of this code's migrations, its own alone, and never used."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_tenants.signals import post_schema_sync, schema_migrated
from django_tenants.utils import schema_exists
from server.tenants.models import Tenant
from tenancy import copies, lifecycle
from tenancy.background.tasks import make_spare_schemas
from tenancy.exceptions import SchemaNameTaken
from tenancy.health import doctor
from tenancy.lifecycle import provision_tenant
from tenancy.lifecycle.provisioning import new_tenant, schema_for
from tenancy.locks import advisory_lock
from tenancy.models import Blueprint, SpareSchema
from tenancy.schemas import spares
from tenancy.schemas.ddl import drop_schema

from engine.copies import cleaned_up, execute, get
from engine.processes import Fork, kill, stop_before
from engine.schemas import describe
from engine.signals import connected, heard

ARGUMENTS = "Spared", "spared", "Spared", "admin"
PROVISION = f"provision_tenant(*{ARGUMENTS})"
NUMBER = 2


def names():
    return [*SpareSchema.objects.order_by("pk").values_list("schema_name", flat=True)]


@contextmanager
def kept_ready(settings, number=NUMBER):
    settings.SPARE_SCHEMAS = number
    spares.refill()
    try:
        yield names()
    finally:
        connection.set_schema_to_public()
        settings.SPARE_SCHEMAS = 0
        spares.refill()
        assert not names()


@pytest.fixture
def ready(db, settings):
    """The names of the spares, in a transaction that is rolled back."""
    with kept_ready(settings) as names:
        yield names


@pytest.fixture
def committed(committed_db, settings):
    with cleaned_up(), kept_ready(settings) as names:
        yield names


def provision(slug="spared"):
    provision_tenant("Spared", slug, "Spared", "admin")
    return get(slug)


# The new tenant


def test_a_tenant_of_a_spare_schema_is_like_any_other(ready, settings):
    spared = provision()
    settings.SPARE_SCHEMAS = 0
    other = provision("made")
    settings.SPARE_SCHEMAS = NUMBER

    assert spared.schema_name == ready[0]
    assert other.schema_name.startswith("made_")
    found, expected = (describe(tenant.schema_name) for tenant in (spared, other))
    members = "rows of permissions_usertenantpermissions"
    assert len(found.pop(members)) == len(expected.pop(members)) == 1  # its times differ
    assert found == expected
    assert names() == ready[1:]


@pytest.mark.usefixtures("ready")
def test_it_takes_rows_alone():
    provision("warm")
    with CaptureQueriesContext(connection) as queries:
        provision()

    assert not [query for query in queries if "CREATE" in query["sql"]]


def test_receivers_are_told_of_the_tenant_and_never_before(db, settings):
    """They may enter the schema: it is made, and still in the transaction of the tenant."""
    told = []

    def receive(signal, schema_name="", tenant=None, **kwargs):
        told.append(schema_name or tenant.schema_name)

    with connected(receive, schema_migrated, post_schema_sync), kept_ready(settings) as ready:
        assert not told
        with heard() as sent:
            provision()

    assert told == [ready[0], ready[0]]
    assert sent == [
        *("schema_needs_to_be_sync", "schema_migrate_message"),
        *("schema_migrated", "post_schema_sync"),
    ]


def test_where_none_is_left_the_schema_is_made(ready):
    made = [provision(slug).schema_name for slug in ("a", "b", "c")]

    assert made[:2] == ready
    assert made[2].startswith("c_")


def test_a_clone_needs_no_spare_schema(committed):
    copies.clone(get("first"), "spared", "ada")
    assert names() == committed


# Nobody gets what another got


def test_tenants_that_are_made_at_once_get_different_ones(committed_db, settings):
    def make(at):
        try:
            return provision(f"spared{at}").schema_name
        finally:
            connection.close()

    with cleaned_up(), kept_ready(settings, 6) as ready, ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(make, range(6))) == sorted(ready)


def test_one_that_another_process_is_taking_is_passed_over(committed, settings):
    taking = "with transaction.atomic():\n    spares.take()\n    stop()"
    process = stop_before("stop", taking)
    try:
        assert provision().schema_name == committed[1]
        settings.SPARE_SCHEMAS = 0
        spares.refill()
        assert names() == committed[:1]
    finally:
        process.kill()
        process.communicate()


def test_one_that_was_entered_is_nobody_elses(committed):
    """A receiver may have left an upload, or a value in a cache, under its name."""

    def fail(**kwargs):
        raise RuntimeError

    with connected(fail, schema_migrated), pytest.raises(RuntimeError):
        provision()

    assert names() == committed[1:]
    assert not schema_exists(committed[0])
    assert not Tenant.all_objects.filter(slug="spared").exists()


@pytest.mark.parametrize("where", ["spares.given_out", "provisioning.activate"])
def test_a_killed_call_is_finished_with_another(committed, where):
    kill(stop_before(where, PROVISION), "provision spared")
    left = get("spared")
    assert (left.status, left.schema_name) == (Tenant.Status.PROVISIONING, committed[0])
    assert {finding.id for finding in doctor.examine()} == {"tenancy.W102"}

    lifecycle.finish(left, "ada")

    assert get("spared").schema_name == committed[1]
    assert not schema_exists(committed[0])
    assert [*doctor.examine()] == []


def test_a_killed_call_is_abandoned_with_its_schema(committed):
    kill(stop_before("provisioning.activate", PROVISION), "provision spared")
    lifecycle.abandon(get("spared"), "ada")

    assert not schema_exists(committed[0])
    assert [*doctor.examine()] == []


# Keeping them ready


def test_one_that_was_killed_half_way_is_gone(committed_db, settings):
    settings.SPARE_SCHEMAS = NUMBER
    before = execute("SELECT count(*) FROM pg_namespace")
    kill(stop_before("spares.SpareSchema.objects.create", "spares.refill()"), "spare schemas")

    assert execute("SELECT count(*) FROM pg_namespace") == before
    with kept_ready(settings) as ready:
        assert len(ready) == NUMBER


def test_two_processes_make_no_more_than_are_wanted(committed):
    SpareSchema.objects.all().delete()
    for name in committed:
        drop_schema(name)
    processes = [Fork(f"settings.SPARE_SCHEMAS = {NUMBER}\nspares.refill()") for _ in range(2)]
    assert [process.communicate() for process in processes] == [("", "")] * 2

    assert len(names()) == NUMBER


def test_one_of_other_migrations_is_neither_given_out_nor_kept(ready):
    SpareSchema.objects.filter(schema_name=ready[0]).update(key="other")
    assert provision().schema_name == ready[1]

    spares.refill()
    assert not schema_exists(ready[0])
    assert len({*names()} - {*ready}) == NUMBER


def test_one_whose_schema_is_gone_is_neither_given_out_nor_kept(ready):
    """Otherwise the tables of public would be the tenant's."""
    drop_schema(ready[0])
    assert provision().schema_name == ready[1]

    spares.refill()
    assert not {*ready} & {*names()}


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("change", [{"key": "other"}, None])
def test_code_that_isnt_the_blueprints_leaves_them_alone(ready, run, change):
    """As a worker of the former release does during a deployment."""
    Blueprint.objects.update(**change) if change else Blueprint.objects.all().delete()
    SpareSchema.objects.update(key="other")

    with pytest.raises(CommandError, match=r"can't be made: the blueprint is of other migrations"):
        run("make_spare_schemas")
    make_spare_schemas()
    assert names() == ready


@pytest.mark.parametrize(
    "refill",
    [
        lambda run: run("make_spare_schemas"),
        lambda run: run("migrate_schemas"),
        lambda run: make_spare_schemas(),
    ],
)
def test_they_are_refilled(committed, run, refill):
    provision()
    refill(run)
    assert [*names()][:1] == committed[1:]
    assert len(names()) == NUMBER


def test_the_command_says_how_many(ready, run):
    provision()
    assert run("make_spare_schemas") == "2 spare schemas are ready; 1 of them are new."


# They are no tenants


def test_the_doctor_and_the_list_of_tenants_count_them(ready, run):
    assert [*doctor.examine()] == []
    assert run("tenant_doctor").startswith("Spare schemas: 2 of 2 are ready.\nErrors: 0.")
    provision()
    assert run("tenants").endswith("\n\nSpare schemas: 1 of 2 are ready.")


def test_no_command_enters_one(ready, run):
    for command in (["migrate_schemas"], ["tenant_command", "check"], ["create_missing_schemas"]):
        with pytest.raises(CommandError, match="There is no tenant"):
            run(*command, "--schema", ready[0])
    lifecycle.suspend(get("first"), "ada")
    with pytest.raises(SchemaNameTaken):
        lifecycle.rename_schema(get("first"), "ada", ready[0])


@pytest.mark.usefixtures("db")
def test_without_the_setting_none_is_asked_for():
    provision("warm")
    with CaptureQueriesContext(connection) as queries:
        provision()
    assert not [query for query in queries if spares.TABLE in query["sql"]]


def test_a_spare_that_a_rollback_gave_back_is_not_dropped(committed, monkeypatch):
    """Another process may have taken it since."""
    taken = []

    def fail(tenant, **kwargs):
        taken.append(tenant.schema_name)
        raise OSError("The power is gone.")

    with monkeypatch.context() as patch:
        patch.setattr(Tenant, "save", fail)
        tenant = Tenant(pk=0, slug="spared")
        with pytest.raises(OSError, match="The power"), schema_for(tenant, new_tenant()):
            pass

    assert taken == committed[:1]
    assert schema_exists(taken[0])
    assert names() == committed


def test_beat_waits_for_no_other_process_that_makes_them(committed_db, settings):
    settings.SPARE_SCHEMAS = 1
    with advisory_lock("spare schemas"):
        make_spare_schemas()

    assert names() == []
