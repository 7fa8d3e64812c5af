"""An operator is in a workspace as its owner allows it: so long, with so much, and seen by all."""

from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client
from django.urls import path as route
from django.urls import reverse
from django.utils import timezone
from server.notes.models import Note
from server.tenants.models import Tenant
from server.urls import urlpatterns as own_patterns
from tenancy import lifecycle, support
from tenancy.models import HandOver, LastSeen, SupportGrant, TenantEvent
from tenancy.people.accounts import create_user, deactivate
from tenancy.people.members import add_member, list_members
from tenancy.requests.support import COOKIE
from tenancy.requests.support import KEY as SUPPORT
from tenancy.testing import TenantClient
from tenancy.testing.client import sign_in
from tenancy.workspace.urls import urlpatterns as workspace_patterns
from tenant_users.permissions.models import UserTenantPermissions

from engine.browser import Browser
from engine.tasks import where

ENTER = "http://first.localhost/sign-in/support/"
DAY = timedelta(days=1)
URL = "/workspace/support/"


def streams(request):
    def parts():
        Note.objects.create(text="written", author_id=1)
        yield b"never"

    return StreamingHttpResponse(parts())


def sends(request):
    where.apply()
    return HttpResponse("never")


def files(request, deed):
    if deed == "save":
        default_storage.save("new.txt", ContentFile(b"new"))
    elif deed == "delete":
        default_storage.delete("theirs.txt")
    with default_storage.open("theirs.txt", "wb" if deed == "write" else "rb") as file:
        return HttpResponse(file.read())


def outlasts(request):
    SupportGrant.objects.update(expires=timezone.now())
    return HttpResponse("done")


urlpatterns = [
    *own_patterns,
    route("streams/", streams),
    route("sends/", sends),
    route("files/<deed>/", files),
    route("outlasts/", outlasts),
]


def make_operator(user):
    """Give a member of public the rights and the second factor of an operator."""
    UserTenantPermissions.objects.filter(profile=user).update(is_staff=True)
    permission = Permission.objects.get(codename="support_tenant")
    UserTenantPermissions.objects.get(profile=user).user_permissions.add(permission)
    TOTP.activate(user, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")


def browser_of(user, public):
    browser = Browser()
    browser.clients["localhost"] = TenantClient(public, user)
    return browser


@pytest.fixture
def operator(outside, ada):
    make_operator(ada)
    return ada


@pytest.fixture
def browser(operator, public):
    return browser_of(operator, public)


@pytest.fixture
def allow(tenant):
    def allow(may_write=False, lasts=DAY, tenant=tenant):
        return support.allow(tenant, tenant.owner, lasts, may_write=may_write)

    return allow


@pytest.fixture
def inside(browser, allow):
    """The operator's browser, in the workspace to read."""
    allow()
    assert browser.open(ENTER).status_code == 200
    return browser.at("first.localhost")


@pytest.fixture
def writing(browser, allow):
    allow(may_write=True)
    assert browser.open(ENTER).status_code == 200
    return browser.at("first.localhost")


def steps(tenant):
    rows = TenantEvent.objects.filter(schema_name=tenant.schema_name, action__in=support.STEPS)
    return [*rows.order_by("pk").values_list("action", "by")]


def is_over(client, path="/notes/"):
    page = client.get(path)
    assert page.status_code == 403, page
    assert "Support has ended" in page.text
    assert client.get(path).url.startswith("/sign-in/")  # nothing is left
    return True


# In and out


def test_an_operator_is_there_as_themselves_and_the_history_says_so(browser, allow, tenant):
    assert browser.open(ENTER).status_code == 403
    allow()
    home = browser.open(ENTER)
    client = browser.at("first.localhost")

    assert home.wsgi_request.path == "/"
    for path in ("/", "/notes/", "/admin/", "/admin/notes/note/"):
        page = client.get(path)
        assert page.status_code == 200, path
        assert "you are in First Tenant as support, and may only read." in page.text
        assert "no-store" in page["Cache-Control"]
        assert "ada" in page.text
    page = client.post("/sign-in/support/leave/")
    assert "Support has ended" in page.text
    assert client.get("/notes/").status_code == 302
    assert browser.at("localhost").get("/account/").status_code == 200  # there they stay signed in
    assert steps(tenant) == [
        *(("allow support", "admin"), ("enter as support", "ada"), ("leave as support", "ada"))
    ]
    assert [member.user.username for member in list_members(tenant)] == ["admin"]


def test_signing_out_in_the_workspace_leaves_it_too(inside, browser, tenant):
    inside.post("/sign-out/")

    assert steps(tenant)[-1] == ("leave as support", "ada")
    assert COOKIE not in {name for name, each in inside.cookies.items() if each.value}
    assert browser.at("localhost").get("/account/").status_code == 302


def test_members_see_no_banner(tenant, allow, inside):
    assert "as support" not in TenantClient(tenant, tenant.owner).get("/notes/").text


def test_a_sign_in_that_isnt_as_support_isnt_one(browser, allow):
    allow()
    assert browser.open("http://first.localhost/sign-in/").status_code == 403


def test_it_asks_for_a_fresh_confirmation(operator, allow, public):
    allow()
    browser = Browser()
    client = browser.clients["localhost"] = Client(SERVER_NAME="localhost")
    with public:
        sign_in(client, operator, confirmed=False)

    assert "/account/2fa/reauthenticate/" in browser.open(ENTER, until="reauthenticate")


def test_a_member_enters_as_a_member_without_a_grant(browser, tenant, operator):
    add_member(tenant, "ada", by="test")

    page = browser.open(ENTER)
    assert page.status_code == 200
    assert "as support" not in page.text
    assert steps(tenant) == []


# What the operator needs, at the beginning and with each request


def lose_staff(user):
    UserTenantPermissions.objects.filter(profile=user).update(is_staff=False)


def lose_permission(user):
    UserTenantPermissions.objects.get(profile=user).user_permissions.clear()


def lose_second_factor(user):
    # Without the signal that ends all sessions.
    Authenticator.objects.filter(user=user)._raw_delete("default")


LOSSES = pytest.mark.parametrize("lose", [lose_staff, lose_permission, lose_second_factor])


@LOSSES
def test_who_is_no_operator_does_not_get_in(browser, allow, operator, lose):
    allow()
    url = browser.open(ENTER, until="/sign-in/finish/")
    lose(operator)

    assert browser.open(url).status_code == 400
    assert browser.open(ENTER).status_code == 403


@LOSSES
def test_the_session_ends_with_what_it_needs(inside, operator, tenant, lose):
    lose(operator)

    assert is_over(inside)
    assert steps(tenant)[-1] == ("leave as support", "ada")


def test_a_deactivated_operator_is_out(inside):
    deactivate("ada", by="test")
    assert inside.get("/notes/").status_code == 302


# What the owner says


def test_the_owner_ends_it_with_the_next_request(inside, tenant, tenant_client):
    tenant.deactivate()
    page = tenant_client.post(f"{URL}end/", follow=True)
    assert "Support has no access any more." in page.text

    assert is_over(inside)
    assert [action for action, _ in steps(tenant)][-2:] == ["end support", "leave as support"]


def test_a_request_outlasts_the_time_and_the_next_does_not(writing, settings, tenant):
    settings.ROOT_URLCONF = __name__
    assert writing.get("/outlasts/").text == "done"

    assert is_over(writing)
    assert ("expire support", "") in steps(tenant)
    support.current_grant(tenant)
    assert [action for action, _ in steps(tenant)].count("expire support") == 1


def test_another_grant_ends_the_sessions_of_the_earlier(browser, inside, allow):
    """An operator with read access must enter again before writing."""
    allow(may_write=True)
    assert is_over(inside)

    assert browser.open(ENTER).status_code == 200
    assert "as support, and may read and write" in inside.get("/notes/").text


def test_whoever_owns_it_now_decides(inside, tenant, browser):
    create_user("bob", "bob@example.com")
    lifecycle.transfer(tenant, "bob", by="test")
    assert is_over(inside)
    assert browser.open(ENTER).status_code == 403

    lifecycle.transfer(tenant, "admin", by="test")
    assert browser.open(ENTER).status_code == 403  # it doesn't come back with the owner


def test_a_suspended_workspace_lets_nobody_in(inside, browser, tenant):
    lifecycle.suspend(tenant, by="test")
    assert inside.get("/notes/").status_code == 503
    assert browser.open(ENTER).status_code == 503

    lifecycle.resume(tenant, by="test")
    assert inside.get("/notes/").status_code == 200


def test_two_operators_are_two(inside, public, tenant):
    grace = create_user("grace", "grace@example.com")
    make_operator(grace)
    other = browser_of(grace, public)
    assert other.open(ENTER).status_code == 200

    inside.post("/sign-in/support/leave/")
    assert other.at("first.localhost").get("/notes/").status_code == 200
    assert steps(tenant)[-2:] == [("enter as support", "grace"), ("leave as support", "ada")]


# To read


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_a_write_is_refused_with_words(inside, tenant, kind):
    page = inside.post("/notes/", {"text": "x"}, headers={"accept": kind})

    assert page.status_code == 403
    assert "may only read. Nothing was changed." in page.text
    assert ("as support, and may only read" in page.text) == (kind == "text/html")
    assert inside.get("/notes/").status_code == 200
    with tenant:
        assert not Note.objects.exists()
    # The next request over the same connection is another person's.
    assert TenantClient(tenant, tenant.owner).post("/notes/", {"text": "y"}).status_code == 302


def test_what_is_streamed_later_is_refused_too(inside, settings, tenant):
    settings.ROOT_URLCONF = __name__
    answer = inside.get("/streams/")
    with tenant, pytest.raises(Exception, match="read-only transaction"):
        b"".join(answer.streaming_content)


def test_no_task_is_sent_which_could_write(inside, settings):
    settings.ROOT_URLCONF = __name__
    assert "may only read" in inside.get("/sends/").text


@pytest.mark.parametrize("deed", ["save", "delete", "write"])
def test_no_file_is_changed(inside, settings, tenant, tmp_path, deed):
    """Not even where the view's first write is to a file, before the row's is refused."""
    settings.ROOT_URLCONF, settings.MEDIA_ROOT = __name__, tmp_path
    with tenant:
        default_storage.save("theirs.txt", ContentFile(b"theirs"))
    assert "may only read" in inside.get(f"/files/{deed}/").text
    assert inside.get("/files/read/").text == "theirs"
    with tenant:
        assert default_storage.listdir("")[1] == ["theirs.txt"]


def test_the_admin_shows_rows_and_no_forms(inside, tenant):
    with tenant:
        note = Note.objects.create(text="theirs", author=tenant.owner)
    assert "theirs" in inside.get(f"/admin/notes/note/{note.pk}/change/").text
    for page in ("add/", f"{note.pk}/delete/"):
        assert inside.post(f"/admin/notes/note/{page}", {"post": "yes"}).status_code == 403


# With writing


def test_what_is_written_is_written(writing, tenant, settings):
    settings.ROOT_URLCONF = __name__
    assert "as support, and may read and write" in writing.get("/notes/").text
    assert writing.post("/notes/", {"text": "repaired"}).status_code == 302
    assert writing.post("/admin/notes/note/add/", {"text": "too"}).status_code == 302
    assert writing.get("/sends/").text == "never"
    with tenant:
        assert Note.objects.count() == 2
        assert Note.objects.first().author.username == "ada"
    assert not LastSeen.objects.exists()  # which is for members


def test_the_workspace_is_run_by_others(writing):
    """The test reads the URLs, so it covers pages that are added later."""
    open_to_members = {"workspace", "workspace-logo", "workspace-style"}
    routes = {each.name: str(each.pattern) for each in workspace_patterns}
    for name in routes.keys() - open_to_members:
        takes_key = "<int:pk>" in routes[name]
        url = reverse(name, kwargs={"pk": 1} if takes_key else {})
        assert writing.get(url).status_code in (403, 405), name
        assert writing.post(url, {"role": "admin"}).status_code in (403, 405), name
    assert writing.post(reverse("workspace-support-end")).status_code == 403


def test_the_admin_keeps_security_to_itself(writing):
    index = writing.get("/admin/").text
    assert "/admin/notes/note/" in index
    for name in ("auth/group", "tenancy/member"):
        assert f"/admin/{name}/" not in index
        for page in ("", "add/"):
            assert writing.get(f"/admin/{name}/{page}").status_code == 403, name


# Attacks


def test_a_session_is_of_one_workspace(inside, allow, other_tenant, browser):
    other = Client(SERVER_NAME="other.localhost")
    other.cookies.update(inside.cookies)
    assert other.get("/notes/").status_code == 302

    path = browser.open(ENTER.replace("first", "other"), until="/hand-over/")
    assert browser.open(path).status_code == 403


def test_the_cookie_alone_is_worth_nothing(allow, tenant, outside):
    allow()
    create_user("bob", "bob@example.com")
    for client in (Client(SERVER_NAME="first.localhost"), TenantClient(tenant, tenant.owner)):
        client.cookies[COOKIE] = "1"
        page = client.get("/notes/")
        assert "as support" not in page.text


def test_without_the_cookie_the_session_is_nobodys(inside):
    del inside.cookies[COOKIE]
    assert inside.get("/notes/").status_code == 403
    assert inside.get("/admin/").status_code == 403


def test_whoever_is_no_operator_forges_nothing(allow, public, outside):
    allow()
    bob = create_user("bob", "bob@example.com")
    browser = browser_of(bob, public)
    state = "a" * 64
    for query in ("support=1", "support=1&fresh=10", f"support=1&grant={1}"):
        url = f"http://localhost/hand-over/?host=first.localhost&state={state}&{query}"
        assert browser.open(url).status_code == 403
    assert not HandOver.objects.exists()


def test_nothing_of_an_earlier_session_comes_along(browser, allow, tenant):
    allow()
    client = browser.at("first.localhost")
    with tenant:
        session = client.session
        session["planted"] = "x"
        session.save()
        fixed = session.session_key

    browser.open(ENTER)

    with tenant:
        assert client.session.session_key != fixed
        assert SUPPORT in client.session
        assert "planted" not in client.session


def test_operators_enter_at_our_address_and_not_at_a_customers(browser, allow, tenant, settings):
    settings.ALLOWED_HOSTS = ["*"]
    lifecycle.rename(tenant, domain="own.example.com", by="test")
    allow()

    assert browser.open(ENTER.replace("first.localhost", "own.example.com")).status_code == 403
    page = browser.open(ENTER)
    assert page.wsgi_request.get_host() == "first.localhost"
    assert page.status_code == 200
    visitor = Client(SERVER_NAME="first.localhost")
    assert visitor.get("/notes/").url == "http://own.example.com/notes/"


def test_a_token_is_no_session(writing, operator, tenant):
    """Whatever else identifies them: outside of this session they are nobody."""
    with tenant:
        user = get_user_model().objects.get(pk=operator.pk)
        assert user.membership is None
        assert not user.is_active


# The owner's page


def test_the_owner_decides_and_confirms_it_first(tenant, tenant_client, ada):
    page = tenant_client.get(URL)
    assert "Support has never been here." in page.text
    assert f'href="{URL}"' in page.text  # among the tabs
    page = tenant_client.post(URL, {"hours": "24", "may_write": ""}, follow=True)
    assert "they may read, and change nothing." in page.text
    grant = SupportGrant.objects.get()
    assert timedelta(hours=23) < grant.expires - timezone.now() < timedelta(hours=25)
    assert "admin allowed support to read until 2" in page.text
    page = tenant_client.post(URL, {"hours": "1", "may_write": "yes"}, follow=True)
    assert "they may read and write." in page.text
    for wrong in ({"hours": "9999"}, {"hours": "24", "may_write": "all"}):
        assert tenant_client.post(URL, wrong).context["form"].errors

    late = TenantClient(tenant)
    sign_in(late, tenant.owner, confirmed=False)
    assert "fresh" in late.get(URL).url
    assert late.post(URL, {"hours": "168"}).status_code == 403
    assert SupportGrant.objects.filter(ended=None).count() == 1


def test_nobody_else_opens_the_page(tenant, ada):
    add_member(tenant, "ada", "admin", by="test")
    client = TenantClient(tenant, ada)
    for path in (URL, f"{URL}end/"):
        assert client.get(path).status_code == 403
        assert client.post(path, {"hours": "1"}).status_code == 403
    assert f'href="{URL}"' not in client.get("/workspace/people/").text


def test_an_operator_asks_the_owner(operator, tenant):
    support.ask(tenant, operator)

    [message] = mail.outbox
    assert message.to == [tenant.owner.email]
    assert message.subject == "Support asks to enter First Tenant"
    assert "http://first.localhost/workspace/support/" in message.body
    assert steps(tenant) == [("ask for support", "ada")]


def test_purging_a_workspace_takes_grants_along(allow, tenant):
    allow()
    Tenant._base_manager.filter(pk=tenant.pk).delete()  # as `purge` does
    assert not SupportGrant.objects.exists()


def test_the_history_says_that_the_time_is_over(allow, tenant, tenant_client):
    allow()
    SupportGrant.objects.update(expires=timezone.now() - timedelta(minutes=1))

    assert "Support&#x27;s access ended on" in tenant_client.get("/workspace/history/").text
    assert steps(tenant)[-1] == ("expire support", "")
