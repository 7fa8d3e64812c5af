"""Whoever is killed while making a tenant leaves nothing, or what the next call finishes."""

from contextlib import contextmanager

import pytest
from django.core.management import call_command
from server.tenants.models import Organization, Tenant
from tenancy import lifecycle
from tenancy.exceptions import IllegalTransition, SlugTaken
from tenancy.health import doctor
from tenancy.lifecycle import provision_tenant
from tenancy.models import TenantEvent

from engine.copies import cleaned_up, everything
from engine.processes import Fork, kill, stop_before

ARGUMENTS = ("Killed", "killed", "Killed", "admin")
PROVISION = f"provision_tenant(*{ARGUMENTS})"
BY_MIGRATIONS = f"""
@blueprint.cache
def load(): raise blueprint.NoBlueprint
blueprint.load = load
{PROVISION}
"""


@pytest.fixture
def before(committed_db):
    """All that there was, and is in the end."""
    with cleaned_up() as before:
        yield before


@contextmanager
def stopped(where="provisioning.activate", code=PROVISION):
    process = stop_before(where, code)
    try:
        yield process
    finally:
        kill(process, "provision killed")


def killed(*where):
    with stopped(*where):
        pass
    return Tenant.all_objects.get(slug="killed")


def test_a_name_that_was_not_reserved_leaves_nothing(before):
    with stopped("reservation.Domain.save"):
        pass

    assert everything() == before


@pytest.mark.parametrize(
    "where",
    [
        ("blueprint.replayed", PROVISION),
        ("blueprint.send_schema_signals", PROVISION),
        ("provisioning.activate", PROVISION),
        ("provisioning.log_event", PROVISION),
        ("blueprint.call_command", BY_MIGRATIONS),
        ("provisioning.activate", BY_MIGRATIONS),
    ],
)
@pytest.mark.usefixtures("before")
def test_the_next_call_finishes_what_is_left(where):
    left = killed(*where)
    assert left.status == Tenant.Status.PROVISIONING
    assert {finding.id for finding in doctor.examine()} == {"tenancy.W102"}

    assert provision_tenant(*ARGUMENTS) == "killed.localhost"

    with Tenant.objects.active().get(pk=left.pk) as tenant:
        assert tenant.owner.is_superuser
    assert [*doctor.examine()] == []


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("place", range(4))
def test_a_call_for_something_else_does_not_finish_it(place):
    killed("blueprint.replayed")
    arguments = list(ARGUMENTS)
    arguments[place] = "other"

    if place == 1:  # another slug is another tenant, and that one is taken
        arguments[2] = "First Organization"
    with pytest.raises(SlugTaken, match="is taken"):
        provision_tenant(*arguments)
    assert Tenant.all_objects.get(slug="killed").status == Tenant.Status.PROVISIONING


def test_what_is_left_is_removed(before):
    left = killed()

    lifecycle.abandon(left, "ada")

    assert everything() == before
    change = TenantEvent.objects.get(slug="killed")
    assert (change.by, change.action, change.after) == ("ada", "abandon", "abandoned")
    with pytest.raises(IllegalTransition, match="it is purged"):
        lifecycle.finish(left, "ada")


def test_a_customer_of_before_stays(before):
    killed("blueprint.replayed", PROVISION.replace("'Killed', 'admin'", "'Old', 'admin'"))
    lifecycle.abandon(Tenant.all_objects.get(slug="killed"), "ada")
    assert everything() == before

    old = Organization.objects.create(name="Old")
    try:
        Organization.objects.update(created="2020-01-01T00:00Z")
        killed("blueprint.replayed", PROVISION.replace("'Killed', 'admin'", "'Old', 'admin'"))
        lifecycle.abandon(Tenant.all_objects.get(slug="killed"), "ada")
        assert Organization.objects.filter(pk=old.pk).exists()
    finally:
        old.delete()


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("code", [PROVISION, BY_MIGRATIONS])
def test_nobody_interferes_while_it_is_made(code):
    with stopped(code=code):
        tenant = Tenant.all_objects.get(slug="killed")
        for interfere in (
            lambda: provision_tenant(*ARGUMENTS),
            lambda: lifecycle.finish(tenant, "ada"),
            lambda: lifecycle.abandon(tenant, "ada"),
        ):
            with pytest.raises(SlugTaken, match="“killed” is being made right now"):
                interfere()


@pytest.mark.usefixtures("before")
def test_of_two_at_once_one_wins():
    processes = [Fork(f"print({PROVISION})") for _ in range(2)]
    said = [process.communicate(timeout=60) for process in processes]

    out, err = zip(*said, strict=True)
    assert sorted(text.splitlines()[-1:] for text in out) == [[], ["killed.localhost"]]
    assert next(text.splitlines()[-1] for text in err if text).startswith(
        "tenancy.exceptions.SlugTaken: “killed” is "
    )


def test_a_tenant_that_was_active_is_not_taken_for_one_that_is_left(tenant):
    tenant.deactivate()
    Tenant.objects.filter(pk=tenant.pk).update(status=Tenant.Status.PROVISIONING)

    for move in (lifecycle.finish, lifecycle.abandon):
        with pytest.raises(IllegalTransition, match="it has members"):
            move(tenant, "ada")
    Tenant.all_objects.filter(pk=tenant.pk).update(status=Tenant.Status.ACTIVE)
    with tenant:
        assert tenant.owner.is_superuser


@pytest.mark.usefixtures("before")
def test_the_command_finishes_and_abandons(capsys):
    killed()
    call_command("provision_tenant", abandon="killed")
    assert not Tenant.all_objects.filter(slug="killed").exists()

    killed()
    call_command("provision_tenant", resume="killed")
    assert capsys.readouterr().out.splitlines()[-1] == "killed.localhost"
    assert Tenant.objects.active().filter(slug="killed").exists()
