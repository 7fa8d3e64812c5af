"""`seed_demo` makes two workspaces to look at, once."""

import pytest
from django.core.management.base import CommandError
from server.notes.models import Note
from tenancy.concrete import User
from tenancy.people.members import list_members
from tenant_users.permissions.models import UserTenantPermissions

from engine.browser import Browser
from engine.copies import cleaned_up, get
from engine.people import erase

OWNERS = {"analytical": "ada@example.com", "harbour": "grace@example.com"}


@pytest.fixture
def seeded(committed_db, run):
    with cleaned_up():
        yield run("seed_demo", "--force")
    people = User._base_manager.filter(email__endswith="@example.com")
    with get("public") as public:
        UserTenantPermissions.objects.filter(profile__in=people).delete()
        public.user_set.remove(*people)
    erase(people)


def test_two_workspaces_have_people_and_notes(seeded, run, mailoutbox):
    assert run("seed_demo", "--force") == seeded  # and makes nothing
    for slug, owner in OWNERS.items():
        assert f"http://{slug}.localhost/ is " in seeded
        tenant = get(slug)
        assert tenant.owner.email == owner
        found = {member.user.email: member.role for member in list_members(tenant)}
        assert found == {owner: "owner", "bob@example.com": "member"}
        with tenant:
            assert Note.objects.count() == 3
    assert [mail.to[0] for mail in mailoutbox] == [*OWNERS.values()]

    Browser().website("login/code/", email="bob@example.com")
    assert mailoutbox[-1].subject.startswith("Your code")


def test_it_is_for_development(run):
    with pytest.raises(CommandError, match="DEBUG is off"):
        run("seed_demo")
