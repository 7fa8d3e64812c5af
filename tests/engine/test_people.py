"""People are created, deactivated and anonymised; nothing of the libraries deletes them."""

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import connection
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy import lifecycle, roles
from tenancy.exceptions import (
    Anonymised,
    InvalidUser,
    NotDeactivated,
    OwnsTenant,
    UnknownUser,
)
from tenancy.models import TenantEvent
from tenancy.people import accounts
from tenancy.people.accounts import create_user
from tenancy.people.members import add_member, grant
from tenancy.testing import TenantClient
from tenant_users.permissions.models import UserTenantPermissions
from tenant_users.tenants import tasks
from tenant_users.tenants.models import ExistsError

from engine.roles import log, roles_of

User = get_user_model()
Status = Tenant.Status


def test_a_person_is_of_no_tenant(ada):
    assert [tenant.slug for tenant in ada.tenants.all()] == ["public"]
    assert ada.check_password("analytical engine")
    assert not create_user("grace", "grace@example.com").has_usable_password()


@pytest.mark.parametrize(
    ("username", "email", "password", "says"),
    [
        ("", "x@example.com", None, "^The username cannot be blank.$"),
        ("a b", "x@example.com", None, "A user name takes"),
        ("a\0b", "x@example.com", None, "A user name takes"),
        ("x" * 10_000, "x@example.com", None, "A user name takes"),
        ("../x", "x@example.com", None, "A user name takes"),
        ("gone-17", "x@example.com", None, "for people who were anonymised"),
        ("x", "", None, "^The email cannot be blank.$"),
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

    accounts.deactivate("ada", "admin")

    for client in (clients[0], clients[2]):
        assert client.get("/password/").wsgi_request.user.is_anonymous
    assert not ada.tenants.exists()
    for tenant in (outside, other_tenant, public):
        assert "ada" not in roles_of(tenant)
    assert not User.objects.get(pk=ada.pk).has_usable_password()
    with outside:
        assert Note.objects.get().author == ada
    assert [line[1:4] for line in log() if line[2] == "ada"][2:] == [
        ("deactivate", "ada", ""),
        ("remove member", "ada", "first"),
        ("remove member", "ada", "other"),
        ("remove member", "ada", "public"),
    ]
    accounts.deactivate("ada", "admin")
    assert len([line for line in log() if line[1] == "deactivate"]) == 1


def test_no_session_comes_alive_again_when_the_person_does(outside, public, ada):
    add_member(outside, "ada", by="admin")
    clients = [TenantClient(outside, ada), TenantClient(public, ada)]

    accounts.deactivate("ada", "admin")
    with outside:
        assert Session.objects.exists()
    accounts.reactivate("ada", "admin")
    add_member(outside, "ada", by="admin")

    for client in clients:
        assert client.get("/password/").wsgi_request.user.is_anonymous
    ada.refresh_from_db()
    assert ada.is_active
    assert not ada.has_usable_password()


def test_who_comes_back_is_no_member_of_what_was_restored_meanwhile(outside, public, ada):
    accounts.deactivate("ada", "admin")
    grant(outside, ada, roles.ADMIN)  # as restoring an earlier backup does

    accounts.reactivate("ada", "admin")

    assert [*ada.tenants.all()] == [public]
    assert "ada" not in roles_of(outside)


def test_the_flag_alone_brings_no_session_back(outside, ada):
    """As when a person's memberships couldn't be ended, and somebody sets it in a shell."""
    add_member(outside, "ada", by="admin")
    client = TenantClient(outside, ada)
    with outside:
        membership = UserTenantPermissions.objects.get(profile_id=ada.pk)
    accounts.deactivate("ada", "admin")
    User.objects.filter(pk=ada.pk).update(is_active=True)
    ada.tenants.add(outside)
    with outside:
        membership.save(force_insert=True)

    assert client.get("/password/").wsgi_request.user.is_anonymous


def test_who_owns_something_stays(outside, public):
    with pytest.raises(OwnsTenant, match="“admin” owns first, public: transfer that first"):
        accounts.deactivate("admin", "ada")
    Tenant.all_objects.filter(pk=outside.pk).update(status=Status.DELETED)
    with pytest.raises(OwnsTenant, match="“admin” owns first, public"):
        accounts.deactivate("admin", "ada")

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
        accounts.deactivate("ada", "admin")
    ada.refresh_from_db()
    assert not ada.is_active
    assert [tenant.slug for tenant in ada.tenants.all()] == ["first"]
    with pytest.raises(NotDeactivated, match="deactivate_user comes first"):
        accounts.anonymise("ada", "admin")

    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME broken TO profile_id")
    accounts.deactivate("ada", "admin")

    assert not ada.tenants.exists()


def test_a_tenant_that_is_being_purged_keeps_nobody_from_going(outside, ada):
    add_member(outside, "ada", by="admin")
    Tenant.all_objects.filter(pk=outside.pk).update(status=Status.PURGING)

    accounts.deactivate("ada", "admin")
    accounts.anonymise("ada", "admin")


def test_who_was_deactivated_becomes_no_member_nor_owner_and_is_not_made_again(outside, ada):
    accounts.deactivate("ada", "admin")

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


def test_a_person_who_comes_back_is_of_the_main_website(ada, public):
    accounts.deactivate("ada", "admin")
    accounts.reactivate("ada", "admin")

    assert roles_of(public)["ada"] == roles.MEMBER


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
    accounts.deactivate("ada", "admin")

    accounts.anonymise("ada@example.com", "admin")

    name = f"gone-{ada.pk}"
    ada.refresh_from_db()
    assert (ada.username, ada.email) == (name, f"{name}@people.invalid")
    assert (ada.last_login, ada.is_verified, ada.is_active) == (None, False, False)
    assert not ada.has_usable_password()
    ada.full_clean(exclude=["username", "password"])
    assert ada.username not in TenantEvent.objects.get(action="rename").after  # a tenant's name
    renames = {"rename": "ada (first, first.localhost)"}
    for line in TenantEvent.objects.exclude(action="provision"):
        assert "ada" not in (line.by, line.username, line.before, line.after)
        assert "ada@example.com" not in (line.by, line.username)
        assert line.after == renames.get(line.action, line.after)
    transfer = TenantEvent.objects.filter(action="transfer").last()
    assert (transfer.before, transfer.after) == ("admin", name)
    assert TenantEvent.objects.get(action="rename").by == name
    assert LogEntry.objects.get(object_id=str(ada.pk)).object_repr == name

    accounts.anonymise(name, "admin")
    assert TenantEvent.objects.filter(action="anonymise").count() == 1
    with pytest.raises(Anonymised):
        accounts.reactivate(name, "admin")
    create_user("ada", "ada@example.com")  # the name is free


@pytest.mark.usefixtures("outside")
def test_an_active_person_is_not_anonymised(ada):
    for name in ("ada", "admin"):
        with pytest.raises(NotDeactivated, match="deactivate_user comes first"):
            accounts.anonymise(name, "admin")
    User.objects.filter(username="admin").update(is_active=False)
    User.objects.get(username="admin").tenants.clear()
    with pytest.raises(NotDeactivated):  # they own tenants
        accounts.anonymise("admin", "admin")


def test_nobody_takes_the_name_of_somebody_who_is_gone(db):
    with pytest.raises(ValidationError):
        User(username="GONE-5", email="x@example.com").clean_fields(exclude=["password"])


# What the libraries offer


def test_the_librarys_provisioning_is_ours(outside):
    host = tasks.provision_tenant("EvilCorp", "evilcorp", "org", "admin")
    assert host == "evilcorp.localhost"
    assert Tenant.objects.get(slug="evilcorp").organization.name == "org"
