"""Keys for programs: made on a page, good in one workspace, dead with what they depend on."""

import logging
import re
import sys
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction
from django.http import JsonResponse
from django.test import RequestFactory
from django.urls import include, path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from server.notes.models import Note
from tenancy import lifecycle, masking, roles
from tenancy.exceptions import InvalidRole, RateLimited, TooManyKeys
from tenancy.history import actor, record
from tenancy.isolation.membership import membership_of
from tenancy.models import ApiKey, TenantEvent
from tenancy.people import accounts, keys
from tenancy.people.account.export import data_of
from tenancy.people.members import add_member, change_role, remove_member
from tenancy.testing import TenantClient
from tenancy.testing.client import sign_in
from tenant_users.permissions.models import UserTenantPermissions

User = get_user_model()
URL = "/workspace/keys/"
NEW = f"{URL}new/"
FORM = {"name": "backup server", "role": "member", "days": "30"}


@csrf_exempt
def api(request):
    """A view of the project's own that takes keys."""
    user = keys.find_person(request)
    if user is None:
        return JsonResponse({}, status=401)
    request.user = user
    if request.method == "POST":
        Note.objects.create(text="written", author=user)
    return JsonResponse(
        {
            "by": actor(user),
            "role": user.membership.role,
            "staff": user.is_staff,
            "all": user.is_superuser,
            "permissions": sorted(user.get_all_permissions()) if not user.is_superuser else "all",
            "elsewhere": [
                membership_of(user, tenant) is not None
                for tenant in user.tenants.exclude(pk=request.tenant.pk)
            ],
        }
    )


urlpatterns = [path("api/", api), path("", include("server.urls"))]


@pytest.fixture(autouse=True)
def _urls(settings):
    settings.ROOT_URLCONF = __name__


@pytest.fixture
def admin(tenant, ada):
    """An admin who isn't the owner."""
    add_member(tenant, "ada", "admin", by="test")
    return ada


@pytest.fixture
def client(tenant, admin):
    return TenantClient(tenant, admin)


def made(tenant, user, role="member", days=30, name="CI"):
    return keys.make(tenant, user, name, role, days)[1]


def use(tenant, secret, method="get", **options):
    headers = {"authorization": f"Bearer {secret}"}
    return getattr(TenantClient(tenant), method)("/api/", headers=headers, **options)


def test_a_key_is_made_on_a_page_and_shown_once(client, tenant, admin):
    assert "90" in client.get(NEW).text
    page = client.post(NEW, FORM)
    secret = page.context["secret"]
    assert re.fullmatch(masking.KEY, secret)
    assert f'<pre id="key">{secret}</pre>' in page.text
    assert "no-store" in page["Cache-Control"]

    row = ApiKey.objects.get()
    assert secret not in {str(value) for value in vars(row).values()}
    assert row.expires - timezone.now() < timedelta(days=30)
    page = client.get(URL).text
    assert "backup server" in page
    assert "Not used yet." in page
    assert secret not in page
    assert use(tenant, secret).json()["by"] == "ada (key backup server)"
    assert "Last used now." in client.get(URL).text.replace("\N{NO-BREAK SPACE}", " ")

    assert "is revoked" in client.post(f"{URL}{row.pk}/revoke/", follow=True).text
    assert use(tenant, secret).status_code == 401
    assert "before" in client.post(f"{URL}{row.pk}/revoke/", follow=True).text
    lines = TenantEvent.objects.filter(action__endswith="key").values_list("action", "by", "after")
    assert [*lines] == [
        ("revoke key", "ada", "backup server"),
        ("make key", "ada", "backup server"),
    ]
    history = client.get("/workspace/history/?kind=keys").text
    assert "ada made the key “backup server” with the role Member." in history


@pytest.mark.parametrize(
    "change",
    [{"name": ""}, {"name": "a\nb"}, {"name": "x" * 51}, {"role": "owner"}, {"days": "366"}],
)
def test_what_is_not_allowed_is_told_and_makes_no_key(client, change):
    assert client.post(NEW, FORM | change).context["form"].errors
    assert not ApiKey.objects.exists()


def test_a_limit_is_told_on_the_page(client, settings):
    settings.TENANCY_RATES = {"key": "1/1d"}
    assert client.post(NEW, FORM).context["secret"]
    page = client.post(NEW, FORM)
    assert "This was done too often. Try again in 24 hours." in page.text
    assert ApiKey.objects.count() == 1


def test_making_one_asks_for_a_fresh_confirmation(tenant, admin):
    late = TenantClient(tenant)
    sign_in(late, admin, confirmed=False)
    assert "fresh" in late.get(NEW).url
    assert late.post(NEW, FORM).status_code == 403
    assert not ApiKey.objects.exists()


def test_the_pages_are_for_managers(tenant, ada, other_tenant):
    add_member(tenant, "ada", by="test")
    made(tenant, tenant.owner)
    pk = ApiKey.objects.get().pk
    theirs = made(other_tenant, other_tenant.owner)
    for method, url in (
        ("get", URL),
        ("get", NEW),
        ("post", NEW),
        ("post", f"{URL}{pk}/revoke/"),
    ):
        assert getattr(TenantClient(tenant, ada), method)(url, FORM).status_code == 403
        assert getattr(TenantClient(tenant), method)(url, FORM).status_code == 302
    client = TenantClient(tenant, tenant.owner)
    theirs = ApiKey.objects.exclude(pk=pk).get()
    client.post(f"{URL}{theirs.pk}/revoke/")
    assert ApiKey.objects.count() == 2
    assert client.get(URL).context["keys"] == [ApiKey.objects.get(pk=pk)]


# What a key may


@pytest.fixture
def four_roles(settings):
    writer = {"label": "Writer", "is_staff": True, "permissions": ["notes.add_note"]}
    settings.TENANCY_ROLES = settings.TENANCY_ROLES | {"writer": writer}


@pytest.mark.usefixtures("four_roles")
def test_a_key_has_its_roles_rights(tenant, admin):
    assert use(tenant, made(tenant, admin, "admin")).json()["all"]
    group, _ = Group.objects.get_or_create(name="writer")
    group.permissions.add(Permission.objects.get(codename="view_note"))
    rights = admin.usertenantpermissions
    rights.user_permissions.add(Permission.objects.get(codename="delete_note"))
    rights.groups.add(Group.objects.create(name="auditors"))

    assert use(tenant, made(tenant, admin, "writer")).json() == {
        "by": "ada (key CI)",
        "role": "writer",
        "staff": True,
        "all": False,
        "permissions": ["notes.add_note", "notes.view_note"],
        "elsewhere": [False],  # also where the maker is somebody: the main website
    }
    plain = use(tenant, made(tenant, admin)).json()
    assert (plain["staff"], plain["permissions"]) == (False, [])


def test_nobody_makes_one_for_more_than_their_own_role(tenant, admin, ada):
    for by, role in ((admin, "owner"), (admin, "nonsense"), (tenant.owner, "owner")):
        with pytest.raises(InvalidRole):
            made(tenant, by, role)
    change_role(tenant, "ada", "member", by="test")
    with pytest.raises(InvalidRole):
        made(tenant, ada, "member")
    for days in (0, 366):
        with pytest.raises(ValueError, match="365"):
            made(tenant, tenant.owner, days=days)


def test_the_main_website_has_none(public):
    with pytest.raises(InvalidRole):
        made(public, public.owner, "admin")


def test_a_workspace_has_few(tenant, admin, monkeypatch):
    monkeypatch.setattr(keys, "MAX_KEYS", 2)
    made(tenant, admin)
    made(tenant, admin)
    with pytest.raises(RateLimited):
        made(tenant, admin)
    monkeypatch.setattr(keys, "limit", lambda *use: None)
    with pytest.raises(TooManyKeys, match="at most 2 keys"):
        made(tenant, admin)
    ApiKey.objects.update(expires=timezone.now() - timedelta(days=1))
    made(tenant, admin)
    assert ApiKey.objects.count() == 3
    ApiKey.objects.update(expires=timezone.now() - timedelta(days=31))
    made(tenant, admin)
    assert ApiKey.objects.count() == 1


# Where it is good


def test_it_is_good_in_one_workspace(tenant, other_tenant, public, admin, settings):
    add_member(other_tenant, "ada", "admin", by="test")
    secret = made(tenant, admin)
    assert use(tenant, secret).status_code == 200
    assert use(tenant, secret, "post").status_code == 200
    assert Note.objects.get().author == admin
    settings.PUBLIC_SCHEMA_URLCONF = __name__
    for elsewhere in (other_tenant, public):
        with elsewhere:  # the rows of two memberships may have the same key
            same = UserTenantPermissions.objects.get(profile=admin).pk
        ApiKey.objects.update(membership=same)
        assert use(elsewhere, secret).status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Basic {}", "Token {}", "Bearer {}x", "Bearer  {}", "Bearer {}\n"],
)
def test_what_is_no_key_costs_no_query(tenant, admin, header, django_assert_num_queries):
    header = header.format(made(tenant, admin))
    request = RequestFactory().get("/", headers={"authorization": header})
    with django_assert_num_queries(0):
        assert keys.find_person(request) is None


def test_a_page_takes_none(tenant, admin):
    headers = {"authorization": f"Bearer {made(tenant, admin, 'admin')}"}
    client = TenantClient(tenant)
    for url in (URL, NEW, "/notes/", "/admin/", "/workspace/people/"):
        assert client.get(url, headers=headers).status_code == 302, url
        assert client.post(url, FORM, headers=headers).status_code in (302, 403), url
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda tenant: remove_member(tenant, "ada", by="test"),
        lambda tenant: change_role(tenant, "ada", "member", by="test"),
        lambda tenant: accounts.deactivate("ada", by="test"),
        lambda tenant: accounts.end_sessions("ada", by="test"),
        lambda tenant: accounts.reset_mfa("ada", by="test"),
        lambda tenant: User.objects.filter(username="ada").update(is_active=False),
        lambda tenant: User.objects.get(username="ada").usertenantpermissions.delete(),
        lambda tenant: ApiKey.objects.update(expires=timezone.now()),
    ],
    ids=["removed", "demoted", "deactivated", "ended", "mfa", "inactive", "no rights", "expired"],
)
def test_it_is_dead_after(tenant, admin, change):
    secret = made(tenant, admin)
    change(tenant)
    assert use(tenant, secret).status_code == 401


def test_it_stays_dead_when_its_maker_comes_back(tenant, admin):
    secret = made(tenant, admin)
    digest = ApiKey.objects.get().digest
    remove_member(tenant, "ada", by="test")
    assert not ApiKey.objects.exists()
    ApiKey.objects.create(  # as if it had been left over
        tenant=tenant,
        user=admin,
        membership=1,
        name="CI",
        role="member",
        digest=digest,
        expires=timezone.now() + timedelta(days=1),
    )
    add_member(tenant, "ada", "admin", by="test")
    assert use(tenant, secret).status_code == 401


def test_it_comes_back_with_what_it_depends_on(tenant, admin, client):
    secret = made(tenant, admin)
    change_role(tenant, "ada", "member", by="test")
    owner = TenantClient(tenant, tenant.owner)
    assert "its maker may not give this role" in owner.get(URL).text
    change_role(tenant, "ada", "admin", by="test")
    lifecycle.suspend(tenant, by="test")
    assert use(tenant, secret).status_code == 503
    lifecycle.resume(tenant, by="test")
    assert use(tenant, secret).status_code == 200


def test_a_former_host_and_another_one_know_it(tenant, admin):
    lifecycle.add_domain(tenant, "own.localhost", by="test")
    secret = made(tenant, admin)
    client = TenantClient(tenant)
    headers = {"authorization": f"Bearer {secret}"}
    assert client.get("/api/", headers=headers, SERVER_NAME="own.localhost").status_code == 200


def test_it_costs_one_query_and_its_use_is_written_once_an_hour(
    tenant, admin, django_assert_num_queries
):
    secret = made(tenant, admin)
    request = RequestFactory().get("/", headers={"authorization": f"Bearer {secret}"})
    assert keys.find_person(request) == admin
    used = ApiKey.objects.get().used
    with django_assert_num_queries(1):
        user = keys.find_person(request)
        assert user.membership.role == "member"
        assert user.is_authenticated
        assert not user.is_staff
    ApiKey.objects.update(used=used - timedelta(hours=1))
    keys.find_person(request)
    assert ApiKey.objects.get().used > used

    ApiKey.objects.update(used=None)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        assert keys.find_person(request) == admin
        transaction.set_rollback(True)


# What becomes of it elsewhere


def test_no_log_and_no_report_has_it(tenant, admin, caplog):
    secret = made(tenant, admin)
    logging.getLogger("x").warning("got %s", f"Authorization: Bearer {secret}")
    assert secret not in caplog.text
    assert masking.MASK in caplog.text

    request = RequestFactory().get("/", headers={"authorization": f"Bearer {secret}"})
    try:
        int(secret)
    except ValueError:
        reporter = masking.ExceptionReporter(request, *sys.exc_info())
    for text in (reporter.get_traceback_html(), reporter.get_traceback_text()):
        assert "ValueError" in text
        assert secret not in text


def test_a_person_downloads_theirs_and_anonymising_forgets_them(tenant, admin, client):
    made(tenant, admin, name="backup")
    record("send invoice", tenant, "ada (key backup)")
    (line, *_) = client.get("/workspace/history/?person=ada").context["lines"]
    assert line.by == "ada (key backup)"
    connection.set_schema_to_public()
    (row,) = data_of(admin)["keys"]
    assert (row["name"], row["tenant__name"]) == ("backup", "First Tenant")
    assert "digest" not in row

    accounts.deactivate("ada", by="test")
    accounts.anonymise("ada", by="test")
    assert not ApiKey.objects.exists()
    assert not TenantEvent.objects.filter(by__startswith="ada").exists()
    line = TenantEvent.objects.get(action="send invoice")
    assert line.by == f"{accounts.gone(admin)} (key backup)"


def test_a_role_that_is_gone_leaves_no_rights(tenant, admin, settings):
    settings.TENANCY_ROLES = settings.TENANCY_ROLES | {"writer": {}}
    secret = made(tenant, admin, "writer")
    assert use(tenant, secret).status_code == 200
    del settings.TENANCY_ROLES["writer"]
    assert use(tenant, secret).status_code == 401
    assert "writer" not in roles.all_roles()
