"""What a request costs beyond what the same one costs in plain Django: nothing."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.backends.db import SessionStore
from django.db import close_old_connections, connection
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from django.utils.functional import SimpleLazyObject
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy.exceptions import WrongTenant
from tenancy.people.backend import UserBackend
from tenancy.people.members import remove_member
from tenancy.requests.middleware import MembershipMiddleware
from tenancy.testing import TenantClient
from tenant_users.permissions.models import UserTenantPermissions

from engine.statements import record


def notes(request):
    return HttpResponse(Note.objects.count())


def whose(request):
    return HttpResponse(f"{request.user} {Note.objects.count()} {request.user.is_staff}")


urlpatterns = [path("notes/", notes), path("whose/", whose)]


@pytest.fixture
def client_of_first(committed_db, settings):
    """Signed in at a tenant in which the test is not, as a new process finds its connection."""
    settings.ROOT_URLCONF = __name__
    first = Tenant.objects.get(slug="first")
    client = TenantClient(first, first.owner)
    yield client
    with first:
        client.session.delete()


@pytest.fixture
def statements(client_of_first):
    client_of_first.get("/notes/")
    yield record()
    connection.close()


def test_a_page_of_one_query_costs_one_and_for_who_is_signed_in_two_more(
    client_of_first, statements
):
    told = connection.reported is not None
    for client, page, queries in (
        (Client(SERVER_NAME="first.localhost"), "/notes/", 1),
        (client_of_first, "/whose/", 3),
    ):
        for _ in range(2):
            statements.clear()
            close_old_connections()  # as between requests: the next asks whether all is well
            connection.leave_tenant()
            assert client.get(page).status_code == 200
            connection.leave_tenant()

        # Before PostgreSQL 18, which search_path is in force has to be made sure in each request.
        assert len(statements) == queries + (not told), statements


def test_another_host_costs_one_statement_more(client_of_first, statements):
    visitor = Client(SERVER_NAME="other.localhost")
    visitor.get("/notes/")
    Client(SERVER_NAME="first.localhost").get("/notes/")
    statements.clear()

    visitor.get("/notes/")

    assert len(statements) == 2
    assert statements[0].startswith("SET search_path")


@pytest.fixture
def person(db):
    """Owner of another tenant than that in which the test runs."""
    return get_user_model().objects.get(username="other")


def load(person):
    return UserBackend().get_user(person.pk)


def rights(user):
    return (
        user.has_tenant_permissions(),
        user.is_staff,
        user.is_superuser,
        user.has_perm("notes.add_note"),
        user.has_module_perms("notes"),
        user.get_all_permissions(),
    )


@pytest.mark.parametrize("is_staff", [True, False])
def test_a_person_comes_with_their_rights(tenant, person, settings, is_staff):
    tenant.add_user(person)
    settings.TENANCY_ROLES = settings.TENANCY_ROLES | {"member": {"is_staff": is_staff}}
    group = Group.objects.create(name="writers")
    group.permissions.add(Permission.objects.get(codename="add_note"))
    UserTenantPermissions.objects.get(profile=person).groups.add(group)
    user = load(person)

    assert user == person
    assert vars(user).keys() == vars(get_user_model().objects.get(pk=person.pk)).keys() | {
        "_tenant_cache"
    }
    assert rights(user) == rights(get_user_model().objects.get(pk=person.pk))
    assert rights(user)[:4] == (True, is_staff, False, True)


@pytest.mark.parametrize("is_member", [True, False])
def test_rights_cost_no_query_of_their_own(tenant, person, is_member, django_assert_num_queries):
    if is_member:
        tenant.add_user(person, is_superuser=True)
    with django_assert_num_queries(1):
        user = load(person)
        assert user.has_tenant_permissions() == is_member
        assert user.is_superuser == user.has_perm("notes.add_note") == is_member


def test_who_was_deactivated_or_is_not_there_is_not_loaded(tenant, person):
    tenant.add_user(person)
    assert load(person) == person
    get_user_model().objects.filter(pk=person.pk).update(is_active=False)

    assert load(person) is None
    assert UserBackend().get_user(0) is None


def test_a_column_that_only_a_newer_release_knows_stops_nobody(tenant, person):
    """There it may be a field; here it is a property still, and can't be set."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE users_user ADD COLUMN tenant_perms text")

    assert rights(load(person)) == (False, False, False, False, False, set())


def test_no_rights_are_taken_along_to_another_tenant(tenant, other_tenant, person):
    user = load(person)
    assert rights(user) == (False, False, False, False, False, set())
    with other_tenant:
        assert rights(user)[:3] == (True, True, True)

        user = load(person)
        row = user.tenant_perms
        assert rights(user)[:3] == (True, True, True)
    assert rights(user) == (False, False, False, False, False, set())
    with pytest.raises(UserTenantPermissions.DoesNotExist):
        _ = user.usertenantpermissions
    with pytest.raises(WrongTenant):
        row.save()


def test_who_becomes_a_member_or_is_one_no_more_is_seen_so_at_once(tenant, person):
    user = load(person)
    assert not user.has_tenant_permissions()

    tenant.add_user(user)
    assert user.has_tenant_permissions()

    remove_member(tenant, user.username, by="admin")
    assert not load(person).has_tenant_permissions()


@pytest.mark.parametrize("wrap", [lambda user: user, lambda user: SimpleLazyObject(lambda: user)])
def test_who_is_signed_in_without_a_session_must_be_a_member_too(tenant, person, rf, wrap):
    request = rf.get("/")
    request.session, request.user, request.tenant = SessionStore(), wrap(load(person)), tenant
    membership = MembershipMiddleware(None)

    assert membership.process_view(request, notes, (), {}).status_code == 403
    tenant.add_user(person)
    request.user = wrap(load(person))
    assert membership.process_view(request, notes, (), {}) is None


@pytest.mark.usefixtures("tenant")
def test_what_anybody_may_see_does_not_vary_with_the_cookie(settings):
    settings.ROOT_URLCONF = __name__
    page = Client(SERVER_NAME="first.localhost").get("/notes/")

    assert page["Vary"] == "Accept-Language"
