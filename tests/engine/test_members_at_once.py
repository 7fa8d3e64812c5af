"""Two who change the same person at the same time: one comes after the other."""

import threading
from contextlib import ExitStack
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from server.tenants.models import Tenant
from tenancy import lifecycle, roles
from tenancy.exceptions import InvalidUser, NotAMember, OwnsTenant, UnknownUser
from tenancy.models import TenantEvent
from tenancy.people import accounts
from tenancy.people.accounts import create_user
from tenancy.people.members import add_member, remove_member
from tenant_users.permissions.models import UserTenantPermissions

from engine.people import erase
from engine.roles import roles_of
from engine.threads import waiting

User = get_user_model()


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
def committed(committed_db):
    """The tenant `first`, of which `ada` may become a member in sight of other connections."""
    tenant = Tenant.objects.get(slug="first")
    create_user("ada", "ada@example.com")
    yield tenant
    names = ["ada", "grace"]
    for place in (tenant, Tenant.objects.get(slug="public")):
        with place:
            UserTenantPermissions.objects.filter(profile__username__in=names).delete()
    User.tenants.through.objects.filter(user__username__in=names).delete()
    erase(User._base_manager.filter(username__in=names))
    TenantEvent.objects.filter(by="test").delete()


def test_two_who_add_or_remove_the_same_person_do_it_once(committed):
    for _ in range(3):
        assert at_once(*[lambda: add_member(committed, "ada", by="test")] * 4) == []
        assert roles_of(committed)["ada"] == roles.MEMBER

        raised = at_once(*[lambda: remove_member(committed, "ada", by="test")] * 4)
        assert [type(error) for error in raised] == [NotAMember] * 3

    events = TenantEvent.objects.filter(by="test", username="ada").order_by("pk")
    assert [*events.values_list("action", flat=True)] == ["add member", "remove member"] * 3


def test_who_becomes_the_owner_meanwhile_is_not_removed(committed):
    add_member(committed, "ada", by="test")
    with ExitStack() as stack, transaction.atomic():
        lifecycle.transfer(committed, "ada", "test")
        remove = partial(remove_member, committed, "ada", by="test")
        raised = stack.enter_context(waiting(remove))

    assert [type(error) for error in raised] == [OwnsTenant]
    assert roles_of(committed) == {"ada": roles.OWNER, "admin": roles.MEMBER}
    lifecycle.transfer(committed, "admin", "test")


def test_who_is_added_while_being_deactivated_is_no_member_in_the_end(committed):
    ada = User.objects.get(username="ada")
    for _ in range(5):
        raised = at_once(
            lambda: add_member(committed, "ada", "admin", by="test"),
            lambda: accounts.deactivate("ada", "test"),
        )

        assert [type(error) for error in raised] in ([], [UnknownUser])
        assert not ada.tenants.exists()
        assert "ada" not in roles_of(committed)
        accounts.reactivate("ada", "test")


@pytest.mark.usefixtures("committed")
def test_two_who_make_the_same_person_make_one():
    made = []

    raised = at_once(*[lambda: made.append(create_user("grace", "grace@example.com"))] * 4)

    assert len(made) == 1
    assert [type(error) for error in raised] == [InvalidUser] * 3
