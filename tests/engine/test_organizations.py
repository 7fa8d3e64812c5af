"""An organization has a name that another may have, too, and a tenant gets the right one."""

import time

import pytest
from django.core.management import CommandError, call_command
from django.db.models.signals import pre_save
from server.tenants.models import Organization, Tenant
from tenancy import copies, lifecycle
from tenancy.exceptions import AmbiguousOrganization
from tenancy.lifecycle import provision_tenant
from tenancy.lifecycle.provisioning import in_background

from engine.copies import cleaned_up, execute, get
from engine.processes import Fork


@pytest.fixture
def twins(db):
    return [Organization.objects.create(name="Twins") for _ in range(2)]


def test_an_organization_is_found_by_its_name_or_made(db):
    provision_tenant("One", "one", "New", "admin")
    provision_tenant("Two", "two", " New ", "admin")

    assert Organization.objects.filter(name="New").count() == 1
    assert get("one").organization == get("two").organization


def test_several_of_one_name_are_refused_in_a_line_that_says_what_to_write(twins, run):
    one, two = twins
    with pytest.raises(AmbiguousOrganization) as error:
        provision_tenant("Name", "name", "Twins", "admin")
    assert str(error.value) == (
        f"Several organizations are called “Twins”: write id:{one.pk} or id:{two.pk}."
    )
    assert not Tenant.all_objects.filter(slug="name").exists()
    with pytest.raises(CommandError, match="Several organizations"):
        call_command("provision_tenant", "Name", "name", "Twins", "admin")

    run("provision_tenant", "Name", "name", f"id:{two.pk}", "admin")
    assert get("name").organization == two
    provision_tenant("Name", "again", one, "admin")
    assert get("again").organization == one


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("provision_tenant", ["Name", "name", "id:999999999", "admin"]),
        ("clone_tenant", ["first", "copy", "--organization", "id:999999999"]),
        ("restore_tenant", ["nowhere.zip", "--organization", "id:999999999"]),
    ],
)
def test_an_unknown_id_is_one_line(outside, command, arguments):
    with pytest.raises(CommandError, match="There is no organization with the id 999999999"):
        call_command(command, *arguments)


def test_only_operators_name_one_by_its_id(twins):
    """What a customer types must not lead to another customer."""
    name = f"id:{twins[0].pk}"

    provision_tenant(name, "name", None, "admin")

    assert get("name").organization.name == name
    assert not twins[0].tenants.exists()


def test_a_tenant_gets_an_organization_of_its_own(twins):
    provision_tenant("Twins", "own", None, "admin")

    assert get("own").organization.name == "Twins"
    assert get("own").organization not in twins


def test_copies_of_a_tenant_of_one_of_several(committed_db, tmp_path, run):
    """A clone stays with its source's organization. Who restores a backup names one."""
    file = tmp_path / "source.zip"
    with cleaned_up():
        twins = [Organization.objects.create(name="Twins") for _ in range(2)]
        provision_tenant("Source", "source", twins[1], "admin")
        copies.clone(get("source"), "copy", by="test")
        assert get("copy").organization == twins[1]
        copies.backup(get("source"), file, by="test")
        with pytest.raises(AmbiguousOrganization):
            copies.restore(file, by="test", slug="restored")

        organization = f"id:{twins[1].pk}"
        run("restore_tenant", str(file), slug="restored", organization=organization)
        assert get("restored").organization == twins[1]


@pytest.mark.parametrize("organization", [None, "row"])
def test_the_same_call_finishes_what_a_killed_one_has_left(twins, settings, organization):
    settings.PROVISION_IN_BACKGROUND = True
    assert in_background()
    organization = organization and twins[0]
    left = lifecycle.request_tenant("Left", "left", organization, "admin")

    assert lifecycle.request_tenant("Left", "left", organization, "admin") == left
    assert provision_tenant("Left", "left", organization, "admin") == "left.localhost"
    assert get("left") == left
    assert Organization.objects.filter(name="Left").count() == (organization is None)


WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def test_two_calls_at_once_make_one_organization(committed_db):
    """As a unique name did: the second waits, and finds what the first has made."""
    other = []

    def meanwhile(**kwargs):
        pre_save.disconnect(meanwhile, Organization)
        other.append(Fork("provision_tenant('Other', 'other-one', 'At once', 'admin')"))
        deadline = time.monotonic() + 30
        while execute(WAITING) == [(0,)]:
            assert time.monotonic() < deadline

    with cleaned_up():
        pre_save.connect(meanwhile, Organization)
        provision_tenant("One", "one", "At once", "admin")
        assert other[0].communicate()[1] == ""

        assert Organization.objects.filter(name="At once").count() == 1
        assert get("one").organization == get("other-one").organization
