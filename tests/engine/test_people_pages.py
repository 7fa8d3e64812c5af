"""The page of a workspace's people: for its owner and its admins, and for nobody else."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from server.tenants.models import Tenant
from tenancy.models import Invitation, LastSeen
from tenancy.people.accounts import create_user
from tenancy.people.invitations import invite
from tenancy.people.members import add_member
from tenancy.requests import seen
from tenancy.testing import TenantClient
from tenancy.testing.client import sign_in
from tenant_users.permissions.models import UserTenantPermissions

from engine.roles import roles_of

URL = "/workspace/people/"
GRACE = "grace@example.com"


@pytest.fixture
def admin(tenant, ada):
    """The client of an admin who isn't the owner."""
    add_member(tenant, "ada", "admin", by="test")
    return TenantClient(tenant, ada)


@pytest.fixture
def bob(tenant):
    user = create_user("bob", "bob@example.com")
    add_member(tenant, "bob", by="test")
    return user


def pk_of(user):
    return UserTenantPermissions.objects.get(profile_id=user.pk).pk


def test_members_are_listed_with_what_each_role_may(admin, tenant, bob, ada):
    LastSeen.objects.create(tenant=tenant, user=bob, at=timezone.now() - timedelta(hours=2))
    invite(tenant, GRACE, "member", ada)
    page = admin.get(URL).text

    for text in ("ada@example.com", "bob@example.com", "admin@localhost", GRACE, "Owner"):
        assert text in page
    assert "Last seen 2\N{NO-BREAK SPACE}hours ago" in page
    assert "Not seen yet." in page
    assert "Reads and writes notes." in page
    assert "other@localhost" not in page
    assert 'href="/workspace/"' in admin.get("/notes/").text  # in the navigation


def test_people_are_invited_together(admin, tenant, settings):
    form = {"emails": "a@x.org, B@x.org;\na@x.org\n", "role": "member"}
    page = admin.post(URL, form, follow=True)
    assert "We have sent invitations to a@x.org, b@x.org." in page.text
    assert Invitation.objects.count() == 2

    settings.TENANCY_RATES = {"invitation-first-day": "3/1d"}
    form = {"emails": "admin@localhost c@x.org d@x.org", "role": "admin"}
    page = admin.post(URL, form)
    assert "admin@localhost is a member already." in page.text
    assert "The limit of invitations is reached. Try again in 24 hours." in page.text
    assert "c@x.org" not in {row.email for row in Invitation.objects.all()}
    assert page.context["form"]["emails"].value() == "admin@localhost\nc@x.org\nd@x.org"


@pytest.mark.parametrize(
    ("emails", "text"),
    [
        ("a@x.org nonsense", "“nonsense” is not an e-mail address."),
        (" ,", "This field is required."),
        (" ".join(f"{n}@x.org" for n in range(51)), "at most 50 addresses"),
    ],
)
def test_what_is_no_address_is_told_and_nothing_is_sent(admin, emails, text):
    page = admin.post(URL, {"emails": emails, "role": "member"})
    assert text in page.text
    assert not Invitation.objects.exists()


def test_an_invitation_is_sent_again_and_revoked(admin, tenant, ada):
    row = invite(tenant, GRACE, "member", tenant.owner)
    url = f"{URL}invitations/{row.pk}/"

    assert "We have sent another link" in admin.post(url, follow=True).text
    renewed = Invitation.objects.get()
    assert renewed.token != row.token
    assert renewed.invited_by == ada  # so it lapses with her rights
    assert "is revoked" in admin.post(url, {"revoke": ""}, follow=True).text
    assert GRACE not in admin.get(URL).text
    assert admin.post(url).status_code == 404


def test_the_page_says_which_invitations_are_over(admin, tenant, bob, settings):
    invite(tenant, GRACE, "member", tenant.owner)
    Invitation.objects.update(expires=timezone.now())
    assert "It has expired." in admin.get(URL).text

    Invitation.objects.update(expires=timezone.now() + timedelta(days=1), invited_by=bob)
    assert "its sender may not invite people" in admin.get(URL).text


def test_a_role_is_changed_and_a_member_is_removed(admin, tenant, bob):
    page = admin.post(f"{URL}{pk_of(bob)}/role/", {"role": "admin"}, follow=True)
    assert "bob has the role “Admin” now." in page.text
    assert roles_of(tenant)["bob"] == "admin"

    url = f"{URL}{pk_of(bob)}/remove/"
    assert "bob is not a member any more." in admin.post(url, follow=True).text
    assert "bob" not in roles_of(tenant)
    assert admin.post(url).status_code == 404


def test_nobody_takes_the_owners_place(admin, tenant, ada):
    owner = pk_of(tenant.owner)
    for path, data in (("role", {"role": "member"}), ("remove", {})):
        page = admin.post(f"{URL}{owner}/{path}/", data, follow=True)
        assert "transfer it first" in page.text
    for role in ("owner", "nonsense", ""):
        admin.post(f"{URL}{pk_of(ada)}/role/", {"role": role})
    assert admin.post(f"{URL}owner/", {"member": ada.pk}).status_code == 403
    assert roles_of(tenant) == {"ada": "admin", "admin": "owner"}


def test_the_owner_hands_the_workspace_over_and_confirms_it_first(
    tenant, tenant_client, bob, other_tenant
):
    url = f"{URL}owner/"
    assert "bob@example.com" in tenant_client.get(url).text
    stranger = {"member": other_tenant.owner.pk}
    assert tenant_client.post(url, stranger).context["form"].errors

    late = TenantClient(tenant)
    sign_in(late, tenant.owner, confirmed=False)
    assert "fresh" in late.get(url).url
    assert late.post(url, {"member": bob.pk}).status_code == 403
    assert roles_of(tenant)["bob"] == "member"

    page = tenant_client.post(url, {"member": bob.pk}, follow=True)
    assert "bob owns this workspace now." in page.text
    assert roles_of(tenant) == {"admin": "member", "bob": "owner"}


def test_a_member_is_told_nothing(tenant, bob, ada):
    row = invite(tenant, GRACE, "member", tenant.owner)
    client = TenantClient(tenant, bob)
    assert URL not in client.get("/notes/").text
    paths = ["", "owner/", f"{pk_of(bob)}/role/", f"{pk_of(bob)}/remove/", f"invitations/{row.pk}/"]
    for path in paths:
        for answer in (client.get(URL + path), client.post(URL + path, {"role": "admin"})):
            assert answer.status_code == 403, path
        assert TenantClient(tenant, ada).post(URL + path).status_code == 403, path  # no member
        assert TenantClient(tenant).get(URL + path).url.startswith("/sign-in/"), path


def test_an_unknown_role_manages_nobody(tenant, bob, settings):
    settings.TENANCY_ROLES = settings.TENANCY_ROLES | {"boss": {"is_superuser": True}}
    add_member(tenant, "bob", "boss", by="test")
    assert TenantClient(tenant, bob).get(URL).status_code == 200

    del settings.TENANCY_ROLES["boss"]

    assert TenantClient(tenant, bob).get(URL).status_code == 403


def test_nothing_of_another_workspace_is_reached(admin, tenant, other_tenant):
    theirs = invite(other_tenant, GRACE, "member", other_tenant.owner)
    assert GRACE not in admin.get(URL).text
    assert admin.post(f"{URL}invitations/{theirs.pk}/", {"revoke": ""}).status_code == 404
    assert Invitation.objects.get().revoked is None


# Last seen


@pytest.fixture
def bobs_client(tenant, bob):
    client = TenantClient(tenant, bob)
    session = client.session
    del session[seen.KEY]
    session.save()
    return client


def test_it_is_written_at_most_once_an_hour(tenant, bob, bobs_client, django_assert_num_queries):
    bobs_client.get("/notes/")
    first = LastSeen.objects.get(tenant=tenant, user=bob)
    with django_assert_num_queries(4):  # the host, in a test; the session, the person, the notes
        bobs_client.get("/notes/")
    assert LastSeen.objects.get() == first
    assert LastSeen.objects.get().at == first.at

    session = bobs_client.session
    session[seen.KEY] -= seen.EVERY
    session.save()
    bobs_client.get("/notes/")

    assert LastSeen.objects.get().at > first.at


def test_a_database_that_takes_no_writes_answers_pages(tenant, bob, bobs_client):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        assert bobs_client.get("/notes/").status_code == 200
        transaction.set_rollback(True)
    assert not LastSeen.objects.exists()


def test_visitors_and_the_main_website_are_not_noted(tenant, public, ada):
    TenantClient(tenant).get("/notes/")
    TenantClient(tenant, ada).get("/notes/")
    TenantClient(public, Tenant.objects.get(slug="public").owner).get("/account/")
    assert not LastSeen.objects.exists()
