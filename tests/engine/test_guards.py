"""What is of one tenant is refused in another, or stays where it belongs."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.signals import request_finished
from django.db import connection, router
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import isolate_apps
from django_tenants.utils import tenant_context
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy.exceptions import SchemaNotReady, WrongTenant
from tenancy.isolation.router import bind_to_current_tenant
from tenancy.requests.middleware import TenantMiddleware

from engine.test_checks import ReplicaRouter


@pytest.fixture
def note(tenant):
    return Note.objects.create(text="Ours", author=tenant.owner)


@pytest.fixture
def theirs(note, other_tenant):
    """Another tenant's note with the same primary key."""
    with other_tenant:
        return Note.objects.create(pk=note.pk, text="Theirs", author=other_tenant.owner)


@pytest.mark.parametrize(
    "use",
    [
        lambda note: note.save(),
        lambda note: note.save(update_fields=["text"]),
        lambda note: note.delete(),
        lambda note: note.refresh_from_db(),
    ],
)
@pytest.mark.parametrize(
    "came_by",
    [
        lambda note: note,
        lambda note: Note.objects.get(),
        lambda note: pickle.loads(pickle.dumps(note)),  # noqa: S301
    ],
)
def test_an_object_is_not_saved_deleted_or_refreshed_in_another_tenant(
    note, theirs, tenant, other_tenant, use, came_by
):
    ours = came_by(note)

    with other_tenant:
        with pytest.raises(WrongTenant) as error:
            use(ours)
        assert Note.objects.get().text == "Theirs"
    use(ours)

    assert f"Note {theirs.pk}" in str(error.value)
    assert tenant.schema_name in str(error.value)
    assert other_tenant.schema_name in str(error.value)


class AnswersAll:
    """A router that chooses a database for each model, as one for replicas does."""

    def db_for_read(self, model, **hints):
        return "default"

    db_for_write = db_for_read

    def allow_relation(self, one, other, **hints):
        return True


@pytest.mark.parametrize("at", [0, 1, 2, None])
@pytest.mark.parametrize("load", [Note.objects.all, lambda: Note.objects.using("default")])
def test_the_guard_doesnt_depend_on_other_routers(
    tenant, other_tenant, theirs, monkeypatch, at, load
):
    """I4: with a router of the owner's before TenantRouter, `save` wrote another tenant's row."""
    ours, routers = load().get(), [*router.routers]
    with monkeypatch.context() as patched:
        patched.setattr(router, "routers", routers)
        if at is None:
            routers.clear()
        else:
            routers.insert(at, AnswersAll())
        group = Group.objects.create(name="Editors")
        found, made = load().get(), Note.objects.create(text="New", author=tenant.owner)
        with other_tenant:
            for note in (ours, found, made):
                for use in (Note.save, Note.delete, Note.refresh_from_db):
                    with pytest.raises(WrongTenant):
                        use(note)
            with pytest.raises(WrongTenant):
                group.permissions.count()
            theirs = Group.objects.create(name="Editors")
            permission = theirs.permissions.model.objects.first()
        found.save()
        with pytest.raises(WrongTenant):
            group.permissions.add(permission)


def test_a_router_below_chooses_the_database(tenant, monkeypatch):
    """I4: TenantRouter answered for all others."""
    monkeypatch.setattr(router, "routers", [*router.routers, ReplicaRouter()])

    assert Note.objects.all().db == "replica"


def test_a_field_left_out_is_not_read_from_another_tenant(note, theirs, other_tenant):
    deferred = Note.objects.defer("text").get()

    with other_tenant, pytest.raises(WrongTenant):
        deferred.text  # noqa: B018
    assert deferred.text == "Ours"


def test_rows_that_lead_from_an_object_are_not_read_in_another_tenant(tenant, other_tenant):
    group = Group.objects.create(name="Editors")

    with other_tenant, pytest.raises(WrongTenant):
        list(group.permissions.all())
    assert list(group.permissions.all()) == []


def test_apps_that_public_has_too_are_guarded_against_public(tenant):
    group = Group.objects.create(name="Editors")
    connection.set_schema_to_public()

    with pytest.raises(WrongTenant, match="public"):
        group.save()


def test_objects_of_two_tenants_are_not_joined(note, tenant, other_tenant):
    group = Group.objects.create(name="Editors")

    with other_tenant:
        theirs = Group.objects.create(name="Editors")
        permission = theirs.permissions.model.objects.first()
        with pytest.raises(WrongTenant):
            group.permissions.add(permission)
    with pytest.raises(WrongTenant, match=r"Permission .* is of other_.* Group .* of first_"):
        group.permissions.add(permission)


def test_people_are_of_no_tenant(note, tenant, other_tenant):
    author = Note.objects.get().author

    with other_tenant:
        author.save()
        author.refresh_from_db()
        assert Note.objects.create(text="Theirs", author=author).author == tenant.owner


def test_a_tenant_whose_schema_is_unfinished_is_not_entered(tenant):
    unfinished = Tenant(slug="acme", schema_name="acme_1", status=Tenant.Status.PROVISIONING)

    for enter in (unfinished.activate, unfinished.__enter__, tenant_context(unfinished).__enter__):
        with pytest.raises(SchemaNotReady, match="acme"):
            enter()
        assert connection.tenant == tenant


def test_a_refused_tenant_leads_nobody_astray(tenant):
    unfinished = Tenant(slug="acme", schema_name="acme_1", status=Tenant.Status.PROVISIONING)
    connection.set_schema_to_public()

    with tenant, pytest.raises(SchemaNotReady), unfinished:
        pass

    assert connection.schema_name == "public"


def test_a_tenant_that_changes_state_meanwhile_can_be_returned_to(tenant, other_tenant):
    with tenant:
        with other_tenant:
            tenant.status = Tenant.Status.PROVISIONING
        assert connection.tenant == tenant


def test_leaving_tenants_in_the_wrong_order_is_an_error(tenant, other_tenant):
    def inside(tenant):
        with tenant:
            yield

    one, two = inside(tenant), inside(other_tenant)
    next(one)
    next(two)

    with pytest.raises(WrongTenant, match="first was left"):
        one.close()
    with pytest.raises(WrongTenant, match="other was left"):
        two.close()


def test_an_object_that_was_only_built_elsewhere_is_of_no_tenant_yet(tenant, other_tenant):
    with other_tenant:
        note = Note(text="Built there", author=tenant.owner)

    note.save()
    assert Note.objects.get() == note

    note.pk, note._state.adding = None, True
    with other_tenant:
        note.save()
        assert Note.objects.get() == note


@isolate_apps("server.notes")
def test_a_proxy_of_a_person_is_of_no_tenant(tenant):
    class Author(get_user_model()):
        class Meta:
            proxy = True
            app_label = "notes"

    author = Author.objects.get(username="admin")
    connection.set_schema_to_public()

    author.save()


def test_rights_in_one_tenant_are_not_taken_along_to_another(public, tenant, other_tenant):
    person = get_user_model().objects.get(username="other")
    connection.set_schema_to_public()

    tenant.add_user(person, is_superuser=True)

    rights = person.usertenantpermissions
    assert not rights.is_superuser
    rights.save()


def test_two_threads_are_not_led_into_each_others_tenants(tenant, other_tenant):
    """They enter and leave in turns, and each comes back to where it was before."""
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
    seen = {}

    def first():
        connection.set_tenant(other_tenant)
        with tenant:
            first_is_in.set()
            second_is_in.wait(10)
        seen["first"] = connection.schema_name
        first_is_out.set()

    def second():
        first_is_in.wait(10)
        with other_tenant:
            second_is_in.set()
            first_is_out.wait(10)
            seen["in second"] = connection.schema_name
        seen["second"] = connection.schema_name

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == {
        "first": other_tenant.schema_name,
        "in second": other_tenant.schema_name,
        "second": "public",
    }


def test_work_that_goes_to_another_thread_stays_in_its_tenant(tenant):
    def where():
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_schema()")
            return cursor.fetchone()[0]

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(bind_to_current_tenant(where)).result() == tenant.schema_name
        assert pool.submit(lambda: connection.schema_name).result() == "public"
        assert pool.submit(lambda: connection.connection).result() is None


def test_content_types_have_the_same_ids_everywhere(tenant, other_tenant):
    ids = []
    for place in (tenant, other_tenant, Tenant.objects.get(slug="public")):
        with place:
            ContentType.objects.clear_cache()
            ids.append(ContentType.objects.get_for_model(Note).pk)

    assert len(set(ids)) == 1


def test_no_request_leaves_its_tenant_to_the_next(tenant):
    request_finished.send(sender=None)

    assert connection.schema_name == "public"


def test_a_request_that_came_to_no_end_leaves_its_tenant_to_nobody(tenant):
    asked = RequestFactory().get("/", HTTP_HOST="nobody.localhost")
    answer = TenantMiddleware(lambda request: HttpResponse("A site."))(asked)

    assert answer.status_code == 404
    assert connection.schema_name == "public"
