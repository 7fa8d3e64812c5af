"""The transitions of a tenant, and what its hosts answer in each state."""

from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from server.tenants.models import Domain, Tenant
from tenancy import copies, lifecycle
from tenancy.exceptions import (
    HostTaken,
    IllegalTransition,
    InvalidHost,
    InvalidName,
    InvalidSlug,
    LifecycleError,
    SlugTaken,
    UnknownUser,
)
from tenancy.lifecycle.recreate import recreate_schema
from tenancy.lifecycle.schema_names import rename_schema
from tenancy.models import TenantEvent
from tenancy.states import TRANSITIONS

from engine.threads import waiting

Status = Tenant.Status
RUN = {
    "provision": lifecycle.finish,
    "abandon": lifecycle.abandon,
    "suspend": lifecycle.suspend,
    "resume": lifecycle.resume,
    "rename": lambda tenant, by: lifecycle.rename(tenant, by, name="Renamed"),
    "change": lambda tenant, by: lifecycle.change(tenant, by, name="Changed"),
    "add domain": lambda tenant, by: lifecycle.add_domain(tenant, "new.localhost", by),
    "remove domain": lambda tenant, by: lifecycle.remove_domain(tenant, "new.localhost", by),
    "rename schema": rename_schema,
    "create schema": recreate_schema,
    "transfer": lambda tenant, by: lifecycle.transfer(tenant, "other", by),
    "delete": lifecycle.delete,
    "undelete": lifecycle.undelete,
    "purge": lifecycle.purge,
    "clone": lambda tenant, by: copies.clone(tenant, "second", by),
    "back up": lambda tenant, by: copies.backup(tenant, "/nowhere/file", by),
}
LEGAL = {
    Status.PROVISIONING: {"provision", "abandon", "restore"},
    Status.ACTIVE: {
        *("enter", "suspend", "rename", "change", "transfer", "delete", "clone", "back up"),
        *("create schema", "add domain", "remove domain", "export", "move"),
    },
    Status.SUSPENDED: {
        *("enter", "resume", "rename", "change", "transfer", "delete", "clone", "back up"),
        *("create schema", "rename schema", "add domain", "remove domain", "export", "move"),
    },
    Status.DELETED: {
        *("enter", "undelete", "purge", "back up", "create schema", "remove domain", "move"),
    },
    Status.PURGING: {"purge"},
}


def visit(host="first.localhost", path="/", method="get", **headers):
    return getattr(Client(), method)(path, headers={"host": host} | headers)


def log(tenant):
    changes = TenantEvent.objects.filter(schema_name=tenant.schema_name)
    return [*changes.values_list("by", "action", "slug", "before", "after")]


def test_the_table_says_what_is_legal():
    for status in Status:
        legal = {action for action, (starts, *_) in TRANSITIONS.items() if status in starts}
        assert legal == LEGAL[status]


@pytest.mark.parametrize(
    ("status", "action"),
    [(status, action) for status in Status for action in RUN if action not in LEGAL[status]],
)
def test_an_illegal_transition_changes_nothing_and_says_why(outside, status, action):
    Tenant.all_objects.filter(pk=outside.pk).update(status=status)
    before = Tenant.all_objects.values().get(pk=outside.pk)

    with pytest.raises(IllegalTransition, match=f"Can't {action} “first”: it is {status}, not "):
        RUN[action](outside, "ada")

    assert Tenant.all_objects.values().get(pk=outside.pk) == before
    assert TenantEvent.objects.filter(by="ada").count() == 0


@pytest.mark.parametrize("action", sorted({*RUN} - {"transfer"}))
def test_the_main_website_has_none_of_them(public, action):
    with pytest.raises(IllegalTransition, match=f"Can't {action} “public”: it is the main website"):
        RUN[action](public, "ada")


def test_a_tenant_is_suspended_and_resumed(outside):
    assert lifecycle.suspend(outside, "ada").status == Status.SUSPENDED
    assert lifecycle.resume(outside, "grace").status == Status.ACTIVE

    assert Tenant.objects.get(pk=outside.pk).status == Status.ACTIVE
    assert log(outside)[:2] == [
        ("grace", "resume", "first", "suspended", "active"),
        ("ada", "suspend", "first", "active", "suspended"),
    ]


@pytest.mark.parametrize("was", [Status.ACTIVE, Status.SUSPENDED])
def test_a_deleted_tenant_becomes_again_what_it_was(outside, was):
    Tenant.objects.filter(pk=outside.pk).update(status=was)

    deleted = lifecycle.delete(outside, "ada")
    assert (deleted.status, deleted.status_before) == (Status.DELETED, was)

    undeleted = lifecycle.undelete(outside, "ada")
    assert (undeleted.status, undeleted.status_before, undeleted.deleted) == (was, "", None)
    assert [change[1:] for change in log(outside)[:2]] == [
        ("undelete", "first", "deleted", was),
        ("delete", "first", was, "deleted"),
    ]


def test_a_tenant_is_not_undeleted_after_the_time_of_grace(outside, settings):
    lifecycle.delete(outside, "ada")
    settings.TENANT_GRACE_DAYS = 5
    long_ago = timezone.now() - timedelta(days=5)
    Tenant.objects.filter(pk=outside.pk).update(deleted=long_ago)

    with pytest.raises(IllegalTransition, match=r"kept until \d{4}-\d\d-\d\d"):
        lifecycle.undelete(outside, "ada")
    assert Tenant.objects.get(pk=outside.pk).status == Status.DELETED


def test_what_a_transition_was_told_may_be_out_of_date(outside):
    lifecycle.suspend(outside, "ada")

    assert outside.status == Status.ACTIVE
    with pytest.raises(IllegalTransition, match="it is suspended"):
        lifecycle.suspend(outside, "ada")


@pytest.mark.usefixtures("committed_db")
def test_of_two_transitions_at_once_the_second_goes_by_what_the_first_did():
    first = Tenant.objects.get(slug="first")

    with ExitStack() as stack, transaction.atomic():
        lifecycle.suspend(first, "test")
        ended = stack.enter_context(waiting(lambda: lifecycle.suspend(first, "test")))
    lifecycle.resume(first, "test")
    TenantEvent.objects.filter(by="test").delete()

    assert [*map(str, ended)] == ["Can't suspend “first”: it is suspended, not active."]


def test_a_transition_leaves_the_caller_in_their_tenant(tenant, other_tenant):
    lifecycle.suspend(other_tenant, "ada")

    assert connection.tenant == tenant


def test_code_enters_what_no_request_does(outside):
    deleted = lifecycle.delete(outside, "ada")

    with deleted:
        assert connection.schema_name == outside.schema_name
    assert outside in Tenant.objects.all()
    assert outside not in Tenant.objects.active()
    assert outside in Tenant.objects.to_migrate()


def test_what_is_being_purged_is_neither_found_nor_entered(outside):
    Tenant.all_objects.filter(pk=outside.pk).update(status=Status.PURGING)

    assert outside not in Tenant.objects.all()
    assert outside not in Tenant.all_objects.to_migrate()
    with pytest.raises(Exception, match="it is purging"):
        Tenant.all_objects.get(pk=outside.pk).activate()
    assert visit().status_code == 404


# Hosts


def test_a_suspended_tenants_host_says_so(outside):
    lifecycle.suspend(outside, "ada")
    page = visit()

    assert (page.status_code, page["Retry-After"]) == (503, "3600")
    assert "This workspace is suspended" in page.text

    lifecycle.resume(outside, "ada")
    assert visit().status_code == 200


def test_a_deleted_tenants_host_says_so(outside):
    lifecycle.delete(outside, "ada")
    page = visit()

    assert page.status_code == 410
    assert "no-store" in page["Cache-Control"]
    assert "This workspace was deleted" in page.text

    lifecycle.undelete(outside, "ada")
    assert visit().status_code == 200


@pytest.mark.parametrize("action", ["suspend", "delete"])
@pytest.mark.parametrize("path", ["/", "/sign-in/", "/admin/", "/media/x", "/nothing/"])
def test_no_such_page_asks_the_tenants_schema(outside, tenant_client, action, path):
    RUN[action](outside, "ada")
    with CaptureQueriesContext(connection) as queries:
        assert tenant_client.get(path).status_code in (503, 410)

    assert not [one for one in queries if outside.schema_name in one["sql"]]
    assert len(queries) == 1  # where the host leads, which only a transaction asks anew


# Names


def test_a_tenant_is_renamed(outside):
    renamed = lifecycle.rename(outside, "ada", name=" Second ", slug="second")

    assert (renamed.name, renamed.slug) == ("Second", "second")
    assert renamed.schema_name == outside.schema_name
    assert renamed.get_primary_domain().domain == "second.localhost"
    assert "Welcome to Second" in visit("second.localhost").text
    assert log(outside)[0] == (
        *("ada", "rename", "first"),
        "First Tenant (first, first.localhost)",
        "Second (second, second.localhost)",
    )


@pytest.mark.parametrize("method", ["get", "head", "post", "put", "delete"])
def test_an_old_host_redirects_to_the_new_one(outside, method):
    lifecycle.rename(outside, "ada", slug="second")
    answer = visit("first.localhost:8000", "/a//b/?c=%2F", method)

    assert answer.status_code == 307  # with the method and the body
    assert answer["Location"] == "http://second.localhost/a//b/?c=%2F"


def test_a_tenant_gets_its_old_name_back(outside):
    lifecycle.rename(outside, "ada", slug="second")
    lifecycle.rename(outside, "ada", slug="first")

    assert visit("first.localhost").status_code == 200
    assert visit("second.localhost")["Location"] == "http://first.localhost/"


def test_a_tenant_gets_a_domain_of_its_own(outside):
    lifecycle.rename(outside, "ada", domain="WWW.First.example.com")
    assert visit("first.localhost")["Location"] == "http://first.example.com/"

    lifecycle.rename(outside, "ada", slug="second")  # is no reason to leave it
    for host in ("first.localhost", "second.localhost"):
        assert visit(host)["Location"] == "http://first.example.com/"


def test_a_further_domain_answers_and_does_not_redirect(outside):
    Domain.objects.create(tenant=outside, domain="more.localhost", is_primary=False)

    assert visit("more.localhost").status_code == 200


def test_an_old_host_says_what_became_of_the_tenant(outside):
    lifecycle.rename(outside, "ada", slug="second")
    lifecycle.suspend(outside, "ada")

    assert visit("first.localhost").status_code == 503


def test_nobody_gets_an_old_host(outside, other_tenant):
    lifecycle.rename(outside, "ada", slug="second")

    with pytest.raises(SlugTaken):
        lifecycle.provision_tenant("Name", "first", "org", "admin")
    with pytest.raises(HostTaken, match=r"“first.localhost” is taken"):
        lifecycle.rename(other_tenant, "ada", slug="first")


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ({}, LifecycleError),
        ({"name": " "}, InvalidName),
        ({"name": "x" * 201}, InvalidName),
        ({"name": "a\0"}, InvalidName),
        ({"slug": "www"}, InvalidSlug),
        ({"slug": "a b"}, InvalidSlug),
        ({"slug": "other"}, SlugTaken),
        ({"slug": "public"}, InvalidSlug),
        ({"domain": "a b"}, InvalidHost),
        ({"domain": "a\0"}, InvalidHost),
        ({"domain": "x.localhost:8000"}, InvalidHost),
        ({"domain": "other.localhost"}, HostTaken),
        ({"domain": "localhost"}, HostTaken),
        ({"name": "Second", "slug": "second", "domain": "other.localhost"}, HostTaken),
    ],
)
def test_an_impossible_name_changes_nothing(outside, names, error):
    before = Tenant.objects.values().get(pk=outside.pk), [*outside.domains.values()], log(outside)

    with pytest.raises(error):
        lifecycle.rename(outside, "ada", **names)

    after = Tenant.objects.values().get(pk=outside.pk), [*outside.domains.values()], log(outside)
    assert after == before


# Owners


def rights(tenant, username):
    with tenant:
        user = get_user_model().objects.get(username=username)
        return user.has_tenant_permissions(), user.is_superuser, user.is_staff


@pytest.mark.parametrize("is_member", [True, False])
def test_a_tenant_gets_another_owner(outside, is_member):
    if is_member:
        outside.add_user(get_user_model().objects.get(username="other"))

    assert lifecycle.transfer(outside, "other@localhost", "ada").owner.username == "other"

    assert rights(outside, "other") == (True, True, True)
    assert rights(outside, "admin") == (True, False, False)
    assert log(outside)[0] == ("ada", "transfer", "first", "admin", "other")


def test_the_main_website_gets_another_owner(public):
    lifecycle.transfer(public, "other", "ada")

    assert rights(public, "other") == (True, True, True)


@pytest.mark.parametrize(
    ("username", "error", "match"),
    [
        ("nobody", UnknownUser, "no active user “nobody”"),
        ("a\0", UnknownUser, "no active user"),
        ("admin", IllegalTransition, "admin owns it already"),
    ],
)
def test_an_impossible_owner_changes_nothing(outside, username, error, match):
    with pytest.raises(error, match=match):
        lifecycle.transfer(outside, username, "ada")

    assert Tenant.objects.get(pk=outside.pk).owner.username == "admin"
    assert not TenantEvent.objects.filter(by="ada").exists()
