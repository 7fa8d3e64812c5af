"""A purged tenant is gone but for the log, and nobody else notices."""

import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import ProgrammingError, connection
from django.test import Client
from django.utils import timezone
from django_tenants.utils import schema_exists
from server.tenants.models import Domain, Tenant
from tenancy import lifecycle, locks
from tenancy.exceptions import Busy, IllegalTransition, LifecycleError, SlugTaken
from tenancy.health import doctor
from tenancy.lifecycle import provision_tenant
from tenancy.lifecycle import purging as purge
from tenancy.lifecycle.schema_names import rename_schema
from tenancy.models import ApiKey, TenantEvent
from tenancy.people import keys
from tenancy.schemas.ddl import drop_schema

from engine.copies import cleaned_up, execute, provision
from engine.processes import kill, stop_before
from engine.schemas import is_purged
from engine.threads import beside

Status = Tenant.Status


@pytest.fixture
def doomed(committed_db):
    """A deleted tenant with an upload and, by RunSQL say, a foreign key to the shared users."""
    with cleaned_up():
        tenant = provision("doomed")
        keys.make(tenant, tenant.owner, "backup", "member", days=30)
        with tenant:
            default_storage.save("upload.txt", ContentFile(b"text"))
            execute(
                "ALTER TABLE notes_note ADD FOREIGN KEY (author_id) REFERENCES public.users_user"
            )
        lifecycle.delete(tenant, "test")
        yield tenant


def folder_of(tenant):
    with tenant:
        return Path(default_storage.path(""))


def test_who_is_in_the_tenant_or_enters_it_later_gets_an_error(doomed, monkeypatch):
    """And doesn't end the sessions of the main website, where the tables have the same names."""
    Session.objects.create(session_key="main", expire_date=timezone.now())
    inside = Tenant.objects.get(pk=doomed.pk)
    with monkeypatch.context() as patched:
        patched.setattr(purge, "remove_rows", lambda *killed: None)
        lifecycle.purge(doomed, "test", now=True)
    for finish in (str, lambda: lifecycle.purge(doomed, "test")):
        finish()
        for work in (Session.objects.all().delete, lambda: Group.objects.create(name="doomed")):
            with inside, pytest.raises(ProgrammingError, match=r"cannot open|composite type"):
                work()
    assert Session.objects.filter(session_key="main").delete()[0]


def test_nothing_but_the_log_is_left(doomed):
    folder = folder_of(doomed)
    assert (folder / "upload.txt").is_file()

    lifecycle.purge(doomed, "ada", now=True)

    assert is_purged(doomed.schema_name)
    assert not folder.exists()
    assert not Tenant.all_objects.filter(pk=doomed.pk).exists()
    assert not Domain.objects.filter(domain="doomed.localhost").exists()
    assert not ApiKey.objects.filter(name="backup").exists()
    assert not get_user_model().tenants.through.objects.filter(tenant_id=doomed.pk).exists()
    events = TenantEvent.objects.filter(schema_name=doomed.schema_name).order_by("pk")
    assert [*events.values_list("by", "action", "before", "after")] == [
        ("admin", "provision", "provisioning", "active"),
        ("admin", "make key", "member", "backup"),
        ("test", "delete", "active", "deleted"),
        ("ada", "purge", "deleted", "purging"),
        ("ada", "purge", "purging", "purged"),
    ]
    assert [*doctor.examine()] == []
    assert Tenant.objects.active().filter(slug__in=["first", "other"]).count() == 2
    assert Client().get("/", headers={"host": "doomed.localhost"}).status_code == 404


def test_it_is_the_schema_that_the_tenant_has_by_now(doomed):
    """The object may have been read before the schema had another name."""
    lifecycle.undelete(doomed, "test")
    lifecycle.suspend(doomed, "test")
    renamed = rename_schema(doomed, "test")
    folder = folder_of(renamed)
    lifecycle.delete(doomed, "test")

    lifecycle.purge(doomed, "ada", now=True)

    assert is_purged(renamed.schema_name)
    assert not folder.exists()
    drop_schema(doomed.schema_name)  # who has the name in hand gets an error


def test_the_slug_is_free_after_it_and_not_before(doomed):
    with pytest.raises(SlugTaken):
        provision_tenant("Doomed", "doomed", "Doomed", "admin")

    lifecycle.purge(doomed, "ada", now=True)

    assert provision("doomed").schema_name != doomed.schema_name


def test_it_waits_for_the_time_of_grace(doomed, settings):
    settings.TENANT_GRACE_DAYS = 5
    with pytest.raises(IllegalTransition, match=r"kept until \d{4}-\d\d-\d\d"):
        lifecycle.purge(doomed, "ada")
    assert Tenant.objects.get(pk=doomed.pk).status == Status.DELETED
    assert schema_exists(doomed.schema_name)

    long_ago = timezone.now() - timedelta(days=5)
    Tenant.objects.filter(pk=doomed.pk).update(deleted=long_ago)
    lifecycle.purge(doomed, "ada")
    assert is_purged(doomed.schema_name)


@pytest.mark.parametrize(
    "where",
    [
        *("purging.drop_foreign_keys", "purging.drop_schema", "purging.remove_files"),
        *("purging.remove_rows", "purging.log_event"),
    ],
)
def test_the_next_call_finishes_what_a_killed_one_left(doomed, where):
    lock = f"purge {doomed.pk}"
    code = f"""
from server.tenants.models import Tenant
lifecycle.purge(Tenant.all_objects.get(pk={doomed.pk}), "ada", now=True)
"""
    process = stop_before(where, code)
    try:
        with pytest.raises(IllegalTransition, match="another process is doing it right now"):
            lifecycle.purge(doomed, "grace", now=True)
    finally:
        kill(process, lock)
    assert Tenant.all_objects.get(pk=doomed.pk).status == Status.PURGING
    assert {finding.id for finding in doctor.examine()} == {"tenancy.W108"}
    assert Client().get("/", headers={"host": "doomed.localhost"}).status_code == 404

    lifecycle.purge(doomed, "grace")

    assert not Tenant.all_objects.filter(pk=doomed.pk).exists()
    assert [*doctor.examine()] == []
    with pytest.raises(IllegalTransition, match="it is purged"):
        lifecycle.purge(doomed, "grace")


@pytest.fixture
def somebody(doomed):
    """Another connection, in a transaction that uses the table of all users."""
    parameters = {**connection.get_connection_params(), "cursor_factory": None}
    parameters = {name: value for name, value in parameters.items() if name != "context"}
    other = connection.Database.connect(**parameters)
    with other.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.users_user")
    yield other
    other.close()


def test_who_uses_a_shared_table_for_long_stops_nobody_else(doomed, somebody, monkeypatch):
    """PostgreSQL has others queue behind who waits for the table."""
    monkeypatch.setattr(locks, "PATIENCE", 1)
    waits, done = [], threading.Event()

    def sign_in_again_and_again():
        while not done.is_set():
            began = time.monotonic()
            get_user_model().objects.filter(username="other").update(last_login=timezone.now())
            waits.append(time.monotonic() - began)

    with beside(sign_in_again_and_again), ExitStack() as stack:
        stack.callback(done.set)
        with pytest.raises(Busy, match="lock timeout"):
            lifecycle.purge(doomed, "ada", now=True)
        somebody.rollback()
        lifecycle.purge(doomed, "ada")

    assert is_purged(doomed.schema_name)
    assert locks.LOCK_TIMEOUT / 2000 < max(waits) < 1  # seconds; it did wait, and not for long


def test_the_schema_goes_without_a_lock_on_shared_tables(doomed):
    purge.drop_foreign_keys(doomed.schema_name)
    assert not execute(
        "SELECT 1 FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid"
        " WHERE confrelid = 'public.users_user'::regclass AND contype = 'f'"
        " AND relnamespace::regnamespace::text = %s",
        [doomed.schema_name],
    )


def test_uploads_that_stay_are_named_and_the_next_call_goes_on(doomed, tmp_path):
    """As where somebody has moved them to another disk."""
    folder = folder_of(doomed)
    elsewhere = folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(elsewhere)

    with pytest.raises(LifecycleError, match=r"Files can't be removed: .* Run it again"):
        lifecycle.purge(doomed, "ada", now=True)
    folder.unlink()
    lifecycle.purge(doomed, "ada")

    assert not Tenant.all_objects.filter(pk=doomed.pk).exists()


def test_files_outside_of_the_tenants_folder_stay(doomed, settings, tmp_path):
    """As with a storage of the owner's, which knows no tenants."""
    (tmp_path / "file").touch()
    settings.MEDIA_ROOT = tmp_path
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    }

    lifecycle.purge(doomed, "ada", now=True)

    assert (tmp_path / "file").exists()
