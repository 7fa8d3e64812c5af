"""Members on the pages of a tenant's admin: what an admin may there, and nobody else."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.models import Invitation, TenantEvent
from tenancy.people import accounts, members
from tenancy.people.accounts import create_user
from tenancy.people.members import add_member
from tenancy.testing import TenantClient
from tenant_users.permissions.models import UserTenantPermissions

from engine.roles import roles_of

User = get_user_model()
URL = "/admin/tenancy/member/"


@pytest.fixture
def ada(tenant):
    """An admin of the tenant, of which `admin` is the owner."""
    user = create_user("ada", "ada@example.com", "analytical engine")
    add_member(tenant, "ada", "admin", by="admin")
    return user


@pytest.fixture
def client(tenant, ada):
    return TenantClient(tenant, ada)


@pytest.fixture
def grace(tenant):
    """A member."""
    user = create_user("grace", "grace@example.com", "compiling since 1952")
    add_member(tenant, "grace", by="admin")
    return user


@pytest.fixture
def mails(mailoutbox, django_capture_on_commit_callbacks):
    """Run a request and what waits for its commit; returns the page and the mails so far."""

    def mails(request):
        with django_capture_on_commit_callbacks(execute=True):
            page = request()
        return page, mailoutbox

    return mails


def pk_of(user):
    """The key of their membership of the current tenant, which the pages' addresses have."""
    return UserTenantPermissions.objects.get(profile_id=user.pk).pk


def test_members_are_listed_and_nobody_else(client, tenant, grace):
    page = client.get(URL).text
    for text in ("ada@example.com", "grace@example.com", "admin@localhost", ">Owner<", ">Admin<"):
        assert text in page
    assert "other@localhost" not in page
    assert "1 member" in client.get(f"{URL}?q=grace").text
    assert URL in client.get("/admin/").text
    for order in range(1, 5):
        assert client.get(f"{URL}?o={order}").status_code == 200


def test_a_known_an_unknown_and_a_deactivated_person_are_invited_alike(client, tenant, mails):
    create_user("eve", "eve@example.com")
    accounts.deactivate("eve", "admin")
    for email in ("other@localhost", "New.One@example.com", "eve@example.com"):
        page, sent = mails(
            lambda email=email: client.post(
                f"{URL}add/", {"email": email, "role": "member"}, follow=True
            )
        )
        assert f"We have sent an invitation to {email}." in page.text
    assert roles_of(tenant) == {"admin": "owner", "ada": "admin"}

    assert [mail.to for mail in sent] == [
        ["other@localhost"],
        ["new.one@example.com"],
        ["eve@example.com"],
    ]
    assert {mail.subject for mail in sent} == {"ada invites you to First Tenant"}


@pytest.mark.parametrize(
    "email", ["", "nonsense", "é@example.com", "x" * 300 + "@x.org", "a\0@x.org"]
)
def test_an_impossible_email_is_told_at_the_field(client, tenant, email):
    page = client.post(f"{URL}add/", {"email": email, "role": "member"})
    assert page.status_code == 200
    assert "errorlist" in page.text
    assert roles_of(tenant) == {"admin": "owner", "ada": "admin"}


def test_a_mail_that_fails_leaves_the_invitation(client, tenant, mails, settings):
    settings.EMAIL_BACKEND = "nowhere.Backend"
    page, _ = mails(lambda: client.post(f"{URL}add/", {"email": "x@x.org", "role": "member"}))
    assert page.status_code == 302
    assert Invitation.objects.get().email == "x@x.org"


def test_a_role_is_changed(client, tenant, grace):
    page = client.get(f"{URL}{pk_of(grace)}/change/").text
    assert '<option value="member" selected>' in page
    assert '<option value="owner"' not in page

    client.post(f"{URL}{pk_of(grace)}/change/", {"role": "admin"})

    assert roles_of(tenant)["grace"] == "admin"
    assert '<option value="admin" selected>' in client.get(f"{URL}{pk_of(grace)}/change/").text
    change = TenantEvent.objects.first()
    assert (change.by, change.action, change.username) == ("ada", "change role", "grace")


def test_a_member_is_removed_once_that_is_confirmed(client, tenant, grace):
    url = f"{URL}{pk_of(grace)}/delete/"
    assert "Remove grace?" in client.get(url).text
    assert "grace" in roles_of(tenant)

    page = client.post(url, {"post": "yes"}, follow=True).text

    assert "“grace” is not a member any more." in page
    assert "grace" not in roles_of(tenant)
    assert TenantEvent.objects.first().by == "ada"


def test_an_admin_may_leave(client, tenant, ada):
    assert client.post(f"{URL}{pk_of(ada)}/delete/", {"post": "yes"}).status_code == 302
    assert "ada" not in roles_of(tenant)
    assert client.get(URL).status_code == 302


# Whoever would like more than that


def test_nobody_takes_the_owners_place(client, tenant, grace):
    owner = pk_of(tenant.owner)
    page = client.get(f"{URL}{owner}/change/")
    assert page.status_code == 200
    assert "<select" not in page.text

    attempts = [
        client.post(f"{URL}{owner}/change/", {"role": "member"}),
        client.post(f"{URL}{owner}/delete/", {"post": "yes"}),
        client.post(f"{URL}add/", {"email": "admin@localhost", "role": "member"}),
        client.post(f"{URL}add/", {"email": "ada@example.com", "role": "owner"}),
        client.post(f"{URL}{pk_of(grace)}/change/", {"role": "owner"}),
        client.post(f"{URL}{pk_of(grace)}/change/", {"role": "", "is_superuser": "on"}),
        client.post(URL, {"action": "delete_selected", "_selected_action": [owner], "post": "yes"}),
    ]

    assert [answer.status_code for answer in attempts] == [403, 403, 302, 200, 200, 200, 200]
    assert roles_of(tenant) == {"admin": "owner", "ada": "admin", "grace": "member"}
    assert Tenant.objects.get(pk=tenant.pk).owner == tenant.owner
    owner = User.objects.get(username="admin")
    assert (owner.is_staff, owner.is_superuser) == (True, True)


def test_the_owner_of_a_moment_ago_is_not_the_owner(client, tenant, ada):
    """What the page goes by may be older than what the database says."""
    lifecycle.transfer(tenant, "ada", "admin")
    assert client.post(f"{URL}{pk_of(ada)}/delete/", {"post": "yes"}).status_code in (302, 403)
    assert roles_of(tenant) == {"ada": "owner", "admin": "member"}


def test_nothing_of_another_tenant_or_of_the_main_website_is_reached(
    client, tenant, other_tenant, public, ada, grace
):
    with other_tenant:
        for _ in range(5):  # keys that this tenant hasn't got
            add_member(other_tenant, "grace", by="other")
            members.remove_member(other_tenant, "grace", by="other")
        add_member(other_tenant, "grace", by="other")
        there = pk_of(grace)
    with public:
        on_main = pk_of(public.owner)
    before = roles_of(other_tenant), roles_of(public)

    assert client.get(f"{URL}{there}/change/").status_code == 302
    for answer in (
        client.post(f"{URL}{there}/change/", {"role": "admin"}),
        client.post(f"{URL}{there}/delete/", {"post": "yes"}),
        client.post(f"{URL}{on_main + 100}/delete/", {"post": "yes"}),
        client.post(f"{URL}nonsense/delete/", {"post": "yes"}),
        client.post(f"{URL}add/", {"email": "x@x.org", "role": "admin", "tenant": public.pk}),
    ):
        assert answer.status_code == 302

    assert (roles_of(other_tenant), roles_of(public)) == before
    assert [row.tenant for row in Invitation.objects.all()] == [tenant]
    for elsewhere in (other_tenant, public):
        with elsewhere:
            assert not User.objects.get(pk=ada.pk).is_staff


def test_members_with_whatever_permissions_see_no_members(tenant, ada, grace, settings):
    """Permissions come from groups; who may change members could make themselves an admin."""
    rights = UserTenantPermissions.objects.get(profile_id=grace.pk)
    settings.TENANCY_ROLES = settings.TENANCY_ROLES | {"member": {"is_staff": True}}
    rights.user_permissions.set(Permission.objects.all())
    client = TenantClient(tenant, grace)

    assert client.get("/admin/notes/note/").status_code == 200
    for path in ("", "add/", f"{pk_of(ada)}/change/", f"{pk_of(ada)}/delete/"):
        for answer in (client.get(URL + path), client.post(URL + path, {"role": "admin"})):
            assert answer.status_code == 403, path
    assert URL not in client.get("/admin/").text


def test_a_plain_member_does_not_get_in(tenant, grace):
    assert TenantClient(tenant, grace).get(URL).status_code == 403


@pytest.mark.parametrize("path", [URL, "/admin/permissions/usertenantpermissions/"])
def test_the_public_admin_has_no_such_page(public_client, path):
    assert public_client.get(path).status_code == 404


def test_raw_rights_have_no_page(client):
    for path in ("permissions/usertenantpermissions", "users/user", "tenants/tenant"):
        assert client.get(f"/admin/{path}/").status_code == 404


def test_the_roles_groups_stay_and_may_what_the_tenant_says(client, tenant):
    url = "/admin/auth/group/"
    roles_group, own = Group.objects.get(name="member"), Group.objects.create(name="writers")
    permission = Permission.objects.get(codename="add_note")

    client.post(
        f"{url}{roles_group.pk}/change/", {"name": "owner2", "permissions": [permission.pk]}
    )
    client.post(f"{url}{own.pk}/change/", {"name": "authors"})
    assert client.post(f"{url}{roles_group.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(
        url,
        {
            "action": "delete_selected",
            "_selected_action": [*Group.objects.values_list("pk", flat=True)],
            "post": "yes",
        },
    )
    client.post(f"{url}{own.pk}/delete/", {"post": "yes"})

    assert {*Group.objects.values_list("name", flat=True)} == {"owner", "admin", "member"}
    assert [*roles_group.permissions.all()] == [permission]


# The public admin


@pytest.fixture
def act(public_client, tenant):
    """Choose an action for some people, and confirm it; returns the page."""

    def act(move, *people, **answers):
        chosen = {"action": move, "_selected_action": [one.pk for one in people]}
        return public_client.post("/admin/users/user/", chosen | answers, follow=True)

    return act


def test_people_are_deactivated_and_anonymised_once_that_is_confirmed(act, tenant, ada, grace):
    page = act("deactivate", ada, grace).text
    assert (
        "<strong>ada</strong> (ada@example.com) is active, and a member of first, public." in page
    )
    assert User.objects.get(pk=ada.pk).is_active

    page = act("deactivate", ada, grace, tenant.owner, confirmed="Yes").text
    assert "Deactivate: done for “ada”." in page
    assert "“admin” owns first, public: transfer that first." in page
    assert roles_of(tenant) == {"admin": "owner"}
    assert TenantEvent.objects.filter(action="deactivate", by="admin").count() == 2

    assert "Reactivate: done for “grace”." in act("reactivate", grace, confirmed="Yes").text
    page = act("anonymise", ada, grace, confirmed="Yes").text
    assert "Anonymise: done for “ada”." in page
    assert "deactivate_user comes first" in page
    assert User.objects.get(pk=ada.pk).username == f"gone-{ada.pk}"


def test_the_form_changes_nobodys_state(public_client, tenant, ada):
    url = f"/admin/users/user/{ada.pk}/change/"
    inlines = {f"usertenantpermissions-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL")}
    form = {"username": "ada", "email": "ada@example.org", **inlines}

    public_client.post(url, form)  # an unchecked box
    assert User.objects.get(pk=ada.pk).email == "ada@example.org"
    assert User.objects.get(pk=ada.pk).is_active

    accounts.deactivate("ada", "admin")
    public_client.post(url, form | {"is_active": "on"})
    assert not User.objects.get(pk=ada.pk).is_active
