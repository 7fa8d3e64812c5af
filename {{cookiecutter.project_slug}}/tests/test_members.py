"""Who belongs to a tenant: in both places where that is written, once, and gone when it is over."""

import threading
import time

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django_tenants.utils import schema_exists
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants import tasks
from tenant_users.tenants.models import DeleteError, ExistsError

from server.notes.models import Note
from server.roles.models import Role
from server.tenants import lifecycle, members
from server.tenants.guards import SchemaNotReady
from server.tenants.lifecycle import IllegalMove, UnknownUser
from server.tenants.members import (
    Anonymised,
    InvalidRole,
    InvalidUser,
    NotAMember,
    NotDeactivated,
    OwnsTenant,
    add_member,
    create_user,
    list_members,
    remove_member,
)
from server.tenants.models import Tenant, TenantChange
from tests.conftest import TenantClient

User = get_user_model()
Status = Tenant.Status


@pytest.fixture
def outside(tenant):
    """The tenant, seen from the public schema; `admin` owns it."""
    connection.set_schema_to_public()
    return tenant


@pytest.fixture
def ada(db):
    """A person of no tenant."""
    return create_user("ada", "ada@example.com", "analytical engine")


def roles(tenant):
    return {user.username: role for user, role, _ in list_members(tenant)}


def groups(tenant, user):
    with tenant:
        return {*Group.objects.filter(user__profile_id=user.pk).values_list("name", flat=True)}


def rights(tenant, user):
    with tenant:
        user = User.objects.get(pk=user.pk)
        return user.is_staff, user.is_superuser, user.has_perm("notes.add_note")


def log():
    changes = TenantChange.objects.exclude(move="provision").order_by("pk")
    return [
        (row.by, row.move, row.username, row.slug, row.before, row.after) for row in changes.all()
    ]


def test_a_tenant_is_born_with_the_roles_and_its_owner_in_one(outside, public):
    with outside:
        assert {*Group.objects.values_list("name", flat=True)} == {"owner", "admin", "member"}
    assert roles(outside) == {"admin": Role.OWNER}
    assert groups(outside, outside.owner) == {"owner"}
    assert not Group.objects.exists()  # in public


def test_a_member_is_added_gets_another_role_and_is_removed(outside, ada):
    add_member(outside, "ada", by="admin")
    assert roles(outside) == {"admin": Role.OWNER, "ada": Role.MEMBER}
    assert groups(outside, ada) == {"member"}
    assert rights(outside, ada) == (False, False, False)

    add_member(outside, "ADA@example.com", "admin", by="admin")
    assert roles(outside)["ada"] == Role.ADMIN
    assert groups(outside, ada) == {"admin"}
    assert rights(outside, ada) == (True, True, True)

    remove_member(outside, "ada", by="grace")
    assert roles(outside) == {"admin": Role.OWNER}
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

    assert [*roles(outside)] == ["ada", "admin"]
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
    assert "ada" not in roles(outside)
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
    assert roles(outside) == {"admin": Role.OWNER}


@pytest.mark.parametrize("name", ["nobody", "", "\0", "\udcff", "é" * 10_000, "'; DROP TABLE x"])
def test_who_is_not_there_is_no_traceback(outside, name):
    calls = [
        lambda: add_member(outside, name, by="admin"),
        lambda: remove_member(outside, name, by="admin"),
        lambda: members.deactivate(name, "admin"),
        lambda: members.reactivate(name, "admin"),
        lambda: members.anonymise(name, "admin"),
    ]
    for call in calls:
        with pytest.raises(UnknownUser, match="There is no"):
            call()


def test_who_is_no_member_cannot_be_removed(outside, ada):
    with pytest.raises(NotAMember, match="“ada” is no member of “first”"):
        remove_member(outside, "ada", by="admin")


@pytest.mark.parametrize("status", Status)
def test_a_tenant_that_can_be_entered_has_members(outside, ada, status):
    Tenant.everything.filter(pk=outside.pk).update(status=status)
    calls = [
        lambda: add_member(outside, "ada", by="admin"),
        lambda: list_members(outside),
        lambda: remove_member(outside, "ada", by="admin"),
    ]
    for call in calls:
        if status in Tenant.WITHOUT_SCHEMA:
            with pytest.raises(IllegalMove, match=f"it is {status}, not active or"):
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

    assert roles(outside) == {"ada": Role.OWNER, "admin": Role.MEMBER}
    assert groups(outside, ada) == {"owner"}
    assert groups(outside, User.objects.get(username="admin")) == {"member"}
    remove_member(outside, "admin", by="ada")
    assert roles(outside) == {"ada": Role.OWNER}


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


# A person


def test_a_person_is_of_no_tenant(ada):
    assert [tenant.slug for tenant in ada.tenants.all()] == ["public"]
    assert authenticate(username="ada", password="analytical engine") == ada
    assert not create_user("grace", "grace@example.com").has_usable_password()


@pytest.mark.parametrize(
    ("username", "email", "password", "says"),
    [
        ("", "x@example.com", None, "cannot be blank"),
        ("a b", "x@example.com", None, "A user name takes"),
        ("a\0b", "x@example.com", None, "A user name takes"),
        ("x" * 10_000, "x@example.com", None, "A user name takes"),
        ("../x", "x@example.com", None, "A user name takes"),
        ("gone-17", "x@example.com", None, "is for who was anonymised"),
        ("x", "", None, "cannot be blank"),
        ("x", "nonsense", None, "valid email"),
        ("x", "a\udcff@example.com", None, "valid email"),
        ("ADA", "x@example.com", None, "already exists"),
        ("x", "Ada@Example.com", None, "already exists"),
        ("x", "x@example.com", "", "too short"),
        ("x", "x@example.com", "12345678", "too common"),
    ],
)
def test_an_impossible_person_is_refused_in_one_sentence(ada, username, email, password, says):
    with pytest.raises(InvalidUser, match=says) as refusal:
        create_user(username, email, password)
    assert len(str(refusal.value).splitlines()) == 1
    assert User.objects.filter(username__startswith="x").count() == 0


def test_a_person_is_made_from_inside_a_tenant_as_well(tenant):
    create_user("ada", "ada@example.com")
    assert not UserTenantPermissions.objects.filter(profile__username="ada").exists()


# Deactivating


def test_who_is_deactivated_is_nowhere_any_more(outside, other_tenant, public, ada):
    for tenant in (outside, other_tenant):
        add_member(tenant, "ada", "admin", by="admin")
    clients = [TenantClient(tenant, ada) for tenant in (outside, other_tenant, public)]
    clients[0].post("/notes/", {"text": "hers"})
    lifecycle.suspend(other_tenant, "admin")

    members.deactivate("ada", "admin")

    for client in (clients[0], clients[2]):
        assert client.get("/password/").wsgi_request.user.is_anonymous
    assert not ada.tenants.exists()
    for tenant in (outside, other_tenant, public):
        assert "ada" not in roles(tenant)
    assert authenticate(username="ada", password="analytical engine") is None
    with outside:
        assert Note.objects.get().author == ada
    assert [line[1:4] for line in log() if line[2] == "ada"][2:] == [
        ("deactivate", "ada", ""),
        ("remove member", "ada", "first"),
        ("remove member", "ada", "other"),
        ("remove member", "ada", "public"),
    ]
    members.deactivate("ada", "admin")
    assert len([line for line in log() if line[1] == "deactivate"]) == 1


def test_no_session_comes_alive_again_when_the_person_does(outside, public, ada):
    add_member(outside, "ada", by="admin")
    clients = [TenantClient(outside, ada), TenantClient(public, ada)]

    members.deactivate("ada", "admin")
    with outside:
        assert Session.objects.exists()
    members.reactivate("ada", "admin")
    add_member(outside, "ada", by="admin")

    for client in clients:
        assert client.get("/password/").wsgi_request.user.is_anonymous
    ada.refresh_from_db()
    assert ada.is_active
    assert not ada.has_usable_password()


def test_the_flag_alone_brings_no_session_back(outside, ada):
    """As when a person's memberships couldn't be ended, and somebody sets it in a shell."""
    add_member(outside, "ada", by="admin")
    client = TenantClient(outside, ada)
    with outside:
        membership = UserTenantPermissions.objects.get(profile_id=ada.pk)
    members.deactivate("ada", "admin")
    User.objects.filter(pk=ada.pk).update(is_active=True)
    ada.tenants.add(outside)
    with outside:
        membership.save(force_insert=True)

    assert client.get("/password/").wsgi_request.user.is_anonymous


def test_who_owns_something_stays(outside, public):
    with pytest.raises(OwnsTenant, match="“admin” owns first, public: transfer that first"):
        members.deactivate("admin", "ada")
    Tenant.everything.filter(pk=outside.pk).update(status=Status.DELETED)
    with pytest.raises(OwnsTenant, match="“admin” owns first, public"):
        members.deactivate("admin", "ada")

    assert public.owner.is_active
    assert log() == []


def test_a_tenant_that_fails_is_named_and_running_again_finishes(outside, other_tenant, ada):
    for tenant in (outside, other_tenant):
        add_member(tenant, "ada", by="admin")
    table = f'"{outside.schema_name}".permissions_usertenantpermissions'
    with connection.cursor() as cursor:
        connection.check_constraints()
        cursor.execute(f"ALTER TABLE {table} RENAME profile_id TO broken")
    with pytest.raises(NotDeactivated, match=r"“ada” can't sign in .* still a member of first \("):
        members.deactivate("ada", "admin")
    ada.refresh_from_db()
    assert not ada.is_active
    assert [tenant.slug for tenant in ada.tenants.all()] == ["first"]
    with pytest.raises(NotDeactivated, match="deactivate_user comes first"):
        members.anonymise("ada", "admin")

    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME broken TO profile_id")
    members.deactivate("ada", "admin")

    assert not ada.tenants.exists()


def test_a_tenant_that_is_being_purged_keeps_nobody_from_going(outside, ada):
    add_member(outside, "ada", by="admin")
    Tenant.everything.filter(pk=outside.pk).update(status=Status.PURGING)

    members.deactivate("ada", "admin")
    members.anonymise("ada", "admin")


def test_who_was_deactivated_becomes_no_member_nor_owner_and_is_not_made_again(outside, ada):
    members.deactivate("ada", "admin")

    with pytest.raises(UnknownUser, match="no active user “ada”"):
        add_member(outside, "ada", by="admin")
    with pytest.raises(UnknownUser, match="no active user “ada”"):
        lifecycle.transfer(outside, "ada", "admin")
    with pytest.raises(InvalidUser):
        create_user("grace", "ada@example.com")
    with pytest.raises(ExistsError):
        User.objects.create_user("ada@example.com", "password", username="grace")
    ada.refresh_from_db()
    assert not ada.is_active


def test_who_comes_back_sets_a_password_and_is_of_the_main_website(ada, public, client, mailoutbox):
    members.deactivate("ada", "admin")
    members.reactivate("ada", "admin")

    client.post("/password/", {"email": "ada@example.com"}, headers={"host": "localhost"})

    assert [mail.to for mail in mailoutbox] == [["ada@example.com"]]
    assert roles(public)["ada"] == Role.MEMBER


# Anonymising


def test_name_and_email_go_from_the_person_and_from_the_logs(outside, ada):
    outside = lifecycle.transfer(outside, "ada", "admin")
    outside = lifecycle.transfer(outside, "admin", "ada")
    lifecycle.rename(outside, "ada@example.com", name="ada")
    kind = ContentType.objects.get_for_model(User)
    LogEntry.objects.create(
        user=outside.owner,
        content_type=kind,
        object_id=ada.pk,
        object_repr="ada",
        action_flag=CHANGE,
    )
    User.objects.filter(pk=ada.pk).update(is_verified=True, last_login=outside.created)
    members.deactivate("ada", "admin")

    members.anonymise("ada@example.com", "admin")

    name = f"gone-{ada.pk}"
    ada.refresh_from_db()
    assert (ada.username, ada.email) == (name, f"{name}@people.invalid")
    assert (ada.last_login, ada.is_verified, ada.is_active) == (None, False, False)
    assert not ada.has_usable_password()
    ada.full_clean(exclude=["username", "password"])
    assert ada.username not in TenantChange.objects.get(move="rename").after  # a tenant's name
    renames = {"rename": "ada (first, first.localhost)"}
    for line in TenantChange.objects.exclude(move="provision"):
        assert "ada" not in (line.by, line.username, line.before, line.after)
        assert "ada@example.com" not in (line.by, line.username)
        assert line.after == renames.get(line.move, line.after)
    transfer = TenantChange.objects.filter(move="transfer").last()
    assert (transfer.before, transfer.after) == ("admin", name)
    assert TenantChange.objects.get(move="rename").by == name
    assert LogEntry.objects.get(object_id=str(ada.pk)).object_repr == name

    members.anonymise(name, "admin")
    assert TenantChange.objects.filter(move="anonymise").count() == 1
    with pytest.raises(Anonymised):
        members.reactivate(name, "admin")
    create_user("ada", "ada@example.com")  # the name is free


@pytest.mark.usefixtures("outside")
def test_an_active_person_is_not_anonymised(ada):
    for name in ("ada", "admin"):
        with pytest.raises(NotDeactivated, match="deactivate_user comes first"):
            members.anonymise(name, "admin")
    User.objects.filter(username="admin").update(is_active=False)
    User.objects.get(username="admin").tenants.clear()
    with pytest.raises(NotDeactivated):  # they own tenants
        members.anonymise("admin", "admin")


def test_nobody_takes_the_name_of_somebody_who_is_gone(db):
    with pytest.raises(ValidationError):
        User(username="GONE-5", email="x@example.com").clean_fields(exclude=["password"])


# Two at once


def at_once(*calls):
    """Run each in a thread of its own; returns what they raised."""
    start = threading.Barrier(len(calls))
    raised = []

    def run(call):
        try:
            start.wait()
            call()
        except Exception as error:
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@pytest.fixture
def committed(transactional_db):
    """The tenant `first`, of which `ada` may become a member in sight of other connections."""
    tenant = Tenant.objects.get(slug="first")
    create_user("ada", "ada@example.com")
    yield tenant
    names = ["ada", "grace"]
    for place in (tenant, Tenant.objects.get(slug="public")):
        with place:
            UserTenantPermissions.objects.filter(profile__username__in=names).delete()
    User.tenants.through.objects.filter(user__username__in=names).delete()
    User._base_manager.filter(username__in=names)._raw_delete(connection.alias)
    TenantChange.objects.filter(by="test").delete()


def test_two_who_add_or_remove_the_same_person_do_it_once(committed):
    for _ in range(3):
        assert at_once(*[lambda: add_member(committed, "ada", by="test")] * 4) == []
        assert roles(committed)["ada"] == Role.MEMBER

        raised = at_once(*[lambda: remove_member(committed, "ada", by="test")] * 4)
        assert [type(error) for error in raised] == [NotAMember] * 3

    moves = TenantChange.objects.filter(by="test").order_by("pk").values_list("move", flat=True)
    assert [*moves] == ["add member", "remove member"] * 3


def test_who_becomes_the_owner_meanwhile_is_not_removed(committed):
    add_member(committed, "ada", by="test")
    raised = []
    removing = threading.Thread(
        target=lambda: raised.extend(at_once(lambda: remove_member(committed, "ada", by="test")))
    )
    with transaction.atomic(), connection.cursor() as cursor:
        lifecycle.transfer(committed, "ada", "test")
        removing.start()
        while cursor.execute("SELECT FROM pg_locks WHERE NOT granted") or not cursor.fetchall():
            time.sleep(0.01)
    removing.join()

    assert [type(error) for error in raised] == [OwnsTenant]
    assert roles(committed) == {"ada": Role.OWNER, "admin": Role.MEMBER}
    lifecycle.transfer(committed, "admin", "test")


def test_who_is_added_while_being_deactivated_is_no_member_in_the_end(committed):
    ada = User.objects.get(username="ada")
    for _ in range(5):
        raised = at_once(
            lambda: add_member(committed, "ada", "admin", by="test"),
            lambda: members.deactivate("ada", "test"),
        )

        assert [type(error) for error in raised] in ([], [UnknownUser])
        assert not ada.tenants.exists()
        assert "ada" not in roles(committed)
        members.reactivate("ada", "test")


@pytest.mark.usefixtures("committed")
def test_two_who_make_the_same_person_make_one():
    made = []

    raised = at_once(*[lambda: made.append(create_user("grace", "grace@example.com"))] * 4)

    assert len(made) == 1
    assert [type(error) for error in raised] == [InvalidUser] * 3


# What the libraries offer


def by_delete_user(tenant, user):
    User.objects.delete_user(user)


def by_delete(tenant, user):
    user.delete(force_drop=True)


def by_queryset(tenant, user):
    User.objects.filter(pk=user.pk).delete()


def by_delete_tenant(tenant, user):
    tenant.delete_tenant()


def by_deleting_the_tenant(tenant, user):
    tenant.delete(force_drop=True)


def by_tenants_queryset(tenant, user):
    user.tenants.all().delete()


def by_remove_user(tenant, user):
    tenant.remove_user(user)


def by_transfer_ownership(tenant, user):
    tenant.transfer_ownership(user)


@pytest.mark.parametrize(
    ("way", "instead"),
    [
        (by_delete_user, "server.tenants.members.deactivate"),
        (by_delete, "server.tenants.members.deactivate"),
        (by_queryset, "server.tenants.members.deactivate"),
        (by_delete_tenant, "server.tenants.lifecycle"),
        (by_deleting_the_tenant, "server.tenants.lifecycle"),
        (by_tenants_queryset, "server.tenants.lifecycle"),
        (by_remove_user, "server.tenants.members.remove_member"),
        (by_transfer_ownership, "server.tenants.lifecycle.transfer"),
    ],
)
def test_what_the_library_would_destroy_is_refused_with_what_to_call(outside, ada, way, instead):
    add_member(outside, "ada", by="admin")

    for user in (outside.owner, ada):
        with pytest.raises(DeleteError, match=instead):
            way(outside, user)

    assert roles(outside) == {"admin": Role.OWNER, "ada": Role.MEMBER}
    assert User.objects.get(pk=ada.pk).is_active
    assert schema_exists(outside.schema_name)


@pytest.mark.parametrize(
    ("flags", "role"),
    [({}, "member"), ({"is_superuser": True}, "admin"), ({"is_staff": True}, "member")],
)
def test_the_librarys_add_user_gives_a_role_too(outside, ada, flags, role):
    outside.add_user(ada, **flags)

    assert roles(outside)["ada"] == role
    assert groups(outside, ada) == {role}
    with pytest.raises(ExistsError):
        outside.add_user(ada)


@pytest.mark.parametrize(
    ("schema", "error"), [({}, IntegrityError), ({"schema_name": "new_00000000"}, SchemaNotReady)]
)
def test_the_librarys_provisioning_makes_nothing(outside, schema, error):
    extra = {"organization": outside.organization}
    with pytest.raises(error):
        tasks.provision_tenant("New", "new", outside.owner, tenant_extra_data=extra, **schema)

    assert not Tenant.everything.filter(slug="new").exists()


def test_signals_tell_of_people(outside, ada):
    heard = []

    def hear(signal, user, **kwargs):
        heard.append((names[signal], user.username))
        raise ValueError("a receiver that fails changes nothing")

    names = {
        members.tenant_user_added: "added",
        members.tenant_user_removed: "removed",
        members.tenant_user_deleted: "deleted",
    }
    for signal in names:
        signal.connect(hear)
    try:
        for _ in range(2):
            add_member(outside, "ada", by="admin")
        remove_member(outside, "ada", by="admin")
        members.deactivate("ada", "admin")
    finally:
        for signal in names:
            signal.disconnect(hear)

    assert [name for name, _ in heard] == ["added", "removed", "removed", "deleted"]
