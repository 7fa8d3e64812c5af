"""Who belongs to a tenant: in both places where that is written, once, and gone when it is over."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from server.tenants.models import Tenant
from tenancy import lifecycle, roles
from tenancy.exceptions import IllegalTransition, InvalidRole, NotAMember, OwnsTenant, UnknownUser
from tenancy.models import WITHOUT_SCHEMA
from tenancy.people import accounts, members
from tenancy.people.members import add_member, list_members, remove_member
from tenancy.testing import TenantClient
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants.models import ExistsError

from engine.roles import log, roles_of
from engine.signals import connected

User = get_user_model()
Status = Tenant.Status


def groups(tenant, user):
    with tenant:
        return {*Group.objects.filter(user__profile_id=user.pk).values_list("name", flat=True)}


def rights(tenant, user):
    with tenant:
        user = User.objects.get(pk=user.pk)
        return user.is_staff, user.is_superuser, user.has_perm("notes.add_note")


def test_a_tenant_is_born_with_the_roles_and_its_owner_in_one(outside, public):
    with outside:
        assert {*Group.objects.values_list("name", flat=True)} == {"owner", "admin", "member"}
    assert roles_of(outside) == {"admin": roles.OWNER}
    assert groups(outside, outside.owner) == {"owner"}
    assert not Group.objects.exists()  # in public


def test_a_member_is_added_gets_another_role_and_is_removed(outside, ada):
    add_member(outside, "ada", by="admin")
    assert roles_of(outside) == {"admin": roles.OWNER, "ada": roles.MEMBER}
    assert groups(outside, ada) == {"member"}
    assert rights(outside, ada) == (False, False, False)

    add_member(outside, "ADA@example.com", "admin", by="admin")
    assert roles_of(outside)["ada"] == roles.ADMIN
    assert groups(outside, ada) == {"admin"}
    assert rights(outside, ada) == (True, True, True)

    remove_member(outside, "ada", by="grace")
    assert roles_of(outside) == {"admin": roles.OWNER}
    assert groups(outside, ada) == set()
    assert rights(outside, ada) == (False, False, False)
    assert [tenant.slug for tenant in ada.tenants.all()] == ["public"]

    assert log() == [
        ("admin", "add member", "ada", "first", "", "member"),
        ("admin", "change role", "ada", "first", "member", "admin"),
        ("grace", "remove member", "ada", "first", "admin", ""),
    ]


def test_who_is_added_twice_is_a_member_once_and_the_log_says_so_once(outside, ada):
    for _ in range(2):
        add_member(outside, "ada", "admin", by="admin")

    assert [*roles_of(outside)] == ["ada", "admin"]
    assert len(log()) == 1


def test_a_role_gives_what_its_group_may_and_leaves_other_groups(outside, ada):
    add_member(outside, "ada", by="admin")
    with outside:
        rights_row = UserTenantPermissions.objects.get(profile_id=ada.pk)
        rights_row.groups.add(Group.objects.create(name="writers"))

    add_member(outside, "ada", "admin", by="admin")

    assert groups(outside, ada) == {"admin", "writers"}


@pytest.mark.parametrize("there", ["user.tenants", "rights"])
def test_a_membership_that_is_half_there_is_made_whole_or_ends(outside, ada, there):
    def make_half():
        if there == "rights":
            with outside:
                UserTenantPermissions.objects.create(profile_id=ada.pk)
        else:
            ada.tenants.add(outside)

    make_half()
    add_member(outside, "ada", by="admin")
    assert groups(outside, ada) == {"member"}
    assert ada.tenants.filter(pk=outside.pk).exists()

    remove_member(outside, "ada", by="admin")
    make_half()
    remove_member(outside, "ada", by="admin")
    assert "ada" not in roles_of(outside)
    assert not ada.tenants.filter(pk=outside.pk).exists()


@pytest.mark.parametrize("role", ["owner", "", "Admin", "superuser", "x" * 10_000, "\0"])
def test_a_role_that_nobody_gives_is_refused(outside, ada, role):
    with pytest.raises(InvalidRole, match="A role is admin or member"):
        add_member(outside, "ada", role, by="admin")
    assert log() == []


def test_the_owner_is_neither_removed_nor_made_an_admin(outside):
    for act in (remove_member, add_member, lambda *to, by: add_member(*to, "admin", by=by)):
        with pytest.raises(OwnsTenant, match="“admin” owns “first”: transfer it first"):
            act(outside, "admin", by="admin")
    assert roles_of(outside) == {"admin": roles.OWNER}


@pytest.mark.parametrize("name", ["nobody", "", "\0", "\udcff", "é" * 10_000, "'; DROP TABLE x"])
def test_who_is_not_there_is_no_traceback(outside, name):
    calls = [
        lambda: add_member(outside, name, by="admin"),
        lambda: remove_member(outside, name, by="admin"),
        lambda: accounts.deactivate(name, "admin"),
        lambda: accounts.reactivate(name, "admin"),
        lambda: accounts.anonymise(name, "admin"),
    ]
    for call in calls:
        with pytest.raises(UnknownUser, match="There is no"):
            call()


def test_who_is_no_member_cannot_be_removed(outside, ada):
    with pytest.raises(NotAMember, match="“ada” is not a member of “first”"):
        remove_member(outside, "ada", by="admin")


@pytest.mark.parametrize("status", Status)
def test_a_tenant_that_can_be_entered_has_members(outside, ada, status):
    Tenant.all_objects.filter(pk=outside.pk).update(status=status)
    calls = [
        lambda: add_member(outside, "ada", by="admin"),
        lambda: list_members(outside),
        lambda: remove_member(outside, "ada", by="admin"),
    ]
    for call in calls:
        if status in WITHOUT_SCHEMA:
            with pytest.raises(IllegalTransition, match=f"it is {status}, not active or"):
                call()
        else:
            call()


def test_the_main_website_has_members_too(ada, public):
    add_member(public, "ada", "admin", by="admin")
    assert rights(public, ada)[:2] == (True, True)

    remove_member(public, "ada", by="admin")
    assert not ada.tenants.exists()


def test_a_new_owner_and_the_old_one_change_roles(outside, ada):
    outside = lifecycle.transfer(outside, "ada", "admin")

    assert roles_of(outside) == {"ada": roles.OWNER, "admin": roles.MEMBER}
    assert groups(outside, ada) == {"owner"}
    assert groups(outside, User.objects.get(username="admin")) == {"member"}
    remove_member(outside, "admin", by="ada")
    assert roles_of(outside) == {"ada": roles.OWNER}


def test_a_session_ends_with_the_membership_and_does_not_come_alive_again(outside, ada):
    add_member(outside, "ada", "admin", by="admin")
    client = TenantClient(outside, ada)
    asleep = TenantClient(outside, ada)
    owner = TenantClient(outside, outside.owner)
    assert client.get("/notes/").status_code == 200
    client.post("/notes/", {"text": "hers"})

    remove_member(outside, "ada", by="admin")
    assert client.get("/notes/").status_code == 302

    add_member(outside, "ada", "admin", by="admin")
    for old in (client, asleep):
        assert old.get("/notes/").status_code == 302
    assert TenantClient(outside, User.objects.get(pk=ada.pk)).get("/notes/").status_code == 200
    assert "hers" in owner.get("/notes/").text


def test_a_session_outlives_a_change_of_keys_but_no_membership(outside, ada, settings):
    add_member(outside, "ada", by="admin")
    clients = [TenantClient(outside, ada) for _ in range(2)]
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "x" * 50
    assert clients[0].get("/notes/").status_code == 200

    remove_member(outside, "ada", by="admin")
    add_member(outside, "ada", by="admin")

    for client in clients:
        assert client.get("/notes/").status_code == 302


@pytest.mark.parametrize(
    ("flags", "role"),
    [({}, "member"), ({"is_superuser": True, "is_staff": True}, "admin")],
)
def test_the_librarys_add_user_gives_a_role_too(outside, ada, flags, role):
    outside.add_user(ada, **flags)

    assert roles_of(outside)["ada"] == role
    assert groups(outside, ada) == {role}
    with pytest.raises(ExistsError):
        outside.add_user(ada)
    with pytest.raises(ValueError, match="is_staff comes with a role"):
        outside.add_user(ada, is_staff=True)


def test_a_role_that_left_the_setting_is_unknown_and_gives_nothing(outside, ada, settings):
    add_member(outside, "ada", roles.ADMIN, by="test")
    settings.TENANCY_ROLES = {"member": {}}

    assert roles_of(outside)["ada"] == roles.UNKNOWN
    assert rights(outside, ada) == (False, False, False)


def test_signals_tell_of_people(outside, ada):
    heard = []

    def hear(signal, user, **kwargs):
        heard.append((names[signal], user.username))
        raise ValueError("a receiver that fails changes nothing")

    names = {
        members.tenant_user_added: "added",
        members.tenant_user_removed: "removed",
        accounts.tenant_user_deleted: "deleted",
    }
    with connected(hear, *names):
        for _ in range(2):
            add_member(outside, "ada", by="admin")
        remove_member(outside, "ada", by="admin")
        accounts.deactivate("ada", "admin")

    assert [name for name, _ in heard] == ["added", "removed", "removed", "deleted"]


@pytest.mark.usefixtures("db")
def test_a_signal_tells_of_a_new_tenants_owner():
    heard = []

    def hear(user, tenant, **kwargs):
        heard.append((user.username, tenant.slug))

    with connected(hear, members.tenant_user_added):
        lifecycle.provision_tenant("Acme", "acme", "org", "admin")

    assert heard == [("admin", "acme")]
