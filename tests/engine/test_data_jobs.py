"""Archives that are kept, and what the owner of a workspace has done with its data."""

import threading
import zipfile
from datetime import timedelta

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone
from kombu.exceptions import OperationalError
from server.notes.models import Note
from server.tenants.models import Domain, Tenant
from tenancy import lifecycle, signals
from tenancy.background.tasks import run_data_job
from tenancy.copies import jobs, kept
from tenancy.copies.kept import checked, keep
from tenancy.exceptions import CopyError, DataJobRuns, ExportGone, RateLimited
from tenancy.locks import advisory_lock
from tenancy.models import Archive, DataJob, Invitation, TenantEvent
from tenancy.people.account.export import data_of
from tenancy.people.accounts import anonymise, create_user, deactivate
from tenancy.people.invitations import invite
from tenancy.people.members import list_members
from tenancy.schemas import private_files
from tenancy.schemas.private_files import path_of

from engine.copies import cleaned_up, get, provision, remove
from engine.people import erase
from engine.signals import connected

User = get_user_model()
Kind = DataJob.Kind


@pytest.fixture
def source(committed_db):
    """A tenant with notes, an upload, another member, and a domain of its own."""
    with cleaned_up():
        tenant = provision("source")
        other = User.objects.get(username="other")
        tenant.add_user(other, is_superuser=True)
        with tenant:
            Note.objects.create(text="Remember", author=tenant.owner)
            Note.objects.create(text="This too", author=other)
            default_storage.save("a.txt", ContentFile(b"Ours"))
        connection.set_schema_to_public()
        Domain.objects.create(tenant=tenant, domain="example.com", is_primary=False)
        yield tenant
        DataJob.objects.all().delete()
    Archive.objects.all().delete()


@pytest.fixture
def do(source):
    """Ask for a job, do it, and return its row."""

    def do(kind, **values):
        job = DataJob.objects.create(tenant=source, kind=kind, user=source.owner, **values)
        jobs.run(job.pk)
        job.refresh_from_db()
        return job

    return do


def notes(tenant):
    with tenant:
        return [*Note.objects.order_by("pk").values_list("text", "author__username")]


# Archives


def test_an_archive_is_kept_as_it_was_made(source):
    archive = keep(source, "ada")
    path = path_of(archive.file)
    assert path.stat().st_size == archive.size > 1000
    assert path.is_relative_to(django_settings.PRIVATE_ROOT)
    assert not path.is_relative_to(django_settings.MEDIA_ROOT)
    assert [*kept.kept(source)] == [archive]
    with checked(archive) as file:
        assert zipfile.is_zipfile(file)

    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CopyError, match="isn't as it was made"), checked(archive):
        pass
    path.unlink()
    with pytest.raises(CopyError, match="can't be read"), checked(archive):
        pass


def test_a_backup_that_fails_is_not_listed(source, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tenancy.copies.backups.add_files", fail)
    with pytest.raises(CopyError):
        keep(source, "ada")
    assert not Archive.objects.exists()
    assert [*private_files.folder_of("archives", source.schema_name).iterdir()] == []


def test_the_oldest_of_a_person_go_and_those_of_a_schedule_stay(source, do, settings):
    settings.MAX_ARCHIVES = 1
    scheduled = keep(source, "beat", is_scheduled=True)
    first = keep(source, "admin")
    do(Kind.BACKUP)

    assert scheduled in kept.kept(source)
    assert first not in kept.kept(source)
    assert not path_of(first.file).exists()
    assert TenantEvent.objects.filter(slug="source", action="drop archive").exists()


def test_purging_removes_exports_at_once_and_archives_later(source, do):
    archive = keep(source, "ada")
    job = do(Kind.EXPORT)
    assert path_of(job.file).exists()
    remove(source)
    assert not path_of(job.file).exists()
    assert not DataJob.objects.exists()
    archive.refresh_from_db()
    assert archive.tenant is None
    assert timedelta(days=29) < archive.expires - timezone.now() < timedelta(days=31)

    jobs.clean_up()
    assert path_of(archive.file).exists()
    Archive.objects.update(expires=timezone.now())
    jobs.clean_up()
    assert not path_of(archive.file).exists()
    assert not Archive.objects.exists()


# New workspaces


def test_a_duplicate_has_all_but_the_people(source, do, mailoutbox):
    invite(source, "grace@example.com", "member", source.owner)
    job = do(Kind.COPY, name="Again", slug="again")
    assert (job.failure, job.ended is None) == ("", False)

    copy = get("again")
    assert notes(copy) == notes(source)
    with copy:
        assert default_storage.open("a.txt").read() == b"Ours"
    assert [(each.user, each.role) for each in list_members(copy)] == [(source.owner, "owner")]
    assert [row.domain for row in copy.domains.all()] == ["again.localhost"]
    assert Invitation.objects.filter(tenant=copy).count() == 0
    assert copy.name == "Again"
    assert TenantEvent.objects.get(slug="again", action="restore").by == "admin"
    assert "Again is ready" in [mail.subject for mail in mailoutbox]
    Invitation.objects.all().delete()


def test_an_archive_brings_back_what_was_there(source, do):
    archive = keep(source, "ada")
    with source:
        Note.objects.all().delete()
    connection.set_schema_to_public()
    do(Kind.COPY, archive=archive, name="Then", slug="then")
    assert [text for text, _ in notes(get("then"))] == ["Remember", "This too"]


def test_an_archive_that_was_changed_is_never_replayed(source, do):
    archive = keep(source, "ada")
    path = path_of(archive.file)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("files/new.txt", "Mine")

    job = do(Kind.COPY, archive=archive, name="Then", slug="then")
    assert "Something went wrong" in job.failure
    assert not Tenant.all_objects.filter(slug="then").exists()


def test_a_person_keeps_what_they_wrote_whatever_their_address_is(source, do):
    """A copy finds people by their ids, never by e-mail addresses that others may have now."""
    archive = keep(source, "ada")
    other = User.objects.filter(username="other")
    email = other.get().email
    other.update(email="moved@example.com")
    try:
        newcomer = create_user("newcomer", email)
        do(Kind.COPY, archive=archive, name="Then", slug="then")
        assert [by for _, by in notes(get("then"))] == ["admin", "other"]
        number = User.objects.count()
        User.objects.filter(pk=newcomer.pk).update(email="away@example.com")
        do(Kind.COPY, archive=archive, name="Later", slug="later")
        assert User.objects.count() == number
    finally:
        remove(get("then"))
        deactivate("newcomer", by="test")
        erase(User.objects.filter(username="newcomer"))
        other.update(email=email)


# Exports


def test_an_export_is_told_by_mail_and_downloaded_once(source, do, mailoutbox):
    job = do(Kind.EXPORT)
    mail = mailoutbox[-1]
    assert mail.to == [source.owner.email]
    assert "http://source.localhost/workspace/data/" in mail.body
    path = path_of(job.file)
    assert timedelta(hours=23) < job.expires - timezone.now() < timedelta(hours=25)

    with jobs.take(source, job.pk, source.owner) as file:
        assert not path.exists()
        assert zipfile.is_zipfile(file)
    with pytest.raises(ExportGone):
        jobs.take(source, job.pk, source.owner)
    actions = TenantEvent.objects.filter(slug="source").values_list("action", flat=True)
    assert "download export" in actions


def test_an_export_expires(source, do):
    job = do(Kind.EXPORT)
    DataJob.objects.update(expires=timezone.now())
    with pytest.raises(ExportGone):
        jobs.take(source, job.pk, source.owner)
    jobs.clean_up()
    assert not path_of(job.file).exists()
    DataJob.objects.update(ended=timezone.now() - jobs.REMEMBERED - timedelta(days=1))
    jobs.clean_up()
    assert not DataJob.objects.exists()


def test_an_export_of_another_tenant_is_not_taken(source, do):
    job = do(Kind.EXPORT)
    with pytest.raises(ExportGone):
        jobs.take(Tenant.objects.get(slug="first"), job.pk, source.owner)
    assert path_of(job.file).exists()


def test_nothing_is_made_for_a_person_who_owns_it_no_more(source, do):
    lifecycle.transfer(source, "other", by="test")
    assert do(Kind.COPY, name="Copy", slug="copied").failure
    assert not Tenant.all_objects.filter(slug="copied").exists()


# By a worker, or a thread


def test_a_worker_does_it(source, monkeypatch):
    monkeypatch.setitem(current_app.conf, "task_always_eager", True)
    monkeypatch.setattr(jobs, "run_in_thread", None)
    job = jobs.ask(source, Kind.BACKUP, source.owner)
    job.refresh_from_db()
    assert job.ended
    assert kept.kept(source).count() == 1


def test_a_thread_does_it_while_the_broker_is_away(source, monkeypatch):
    def fail(*args):
        raise OperationalError("away")

    monkeypatch.setattr(run_data_job, "delay", fail)
    job = jobs.ask(source, Kind.BACKUP, source.owner)
    for thread in threading.enumerate():
        if thread.name == "data job":
            thread.join()
    job.refresh_from_db()
    assert (job.failure, job.ended is None) == ("", False)
    assert kept.kept(source).count() == 1


# One at a time


def test_a_workspace_has_one_job_at_a_time(source, settings):
    settings.TENANCY_RATES = {"data-export": "2/1d"}
    owner = source.owner
    with connected(accept, signals.data_job_asked):
        jobs.ask(source, Kind.EXPORT, owner)
        with pytest.raises(DataJobRuns):
            jobs.ask(source, Kind.BACKUP, owner)
        DataJob.objects.update(ended=timezone.now())
        jobs.ask(source, Kind.EXPORT, owner)
        DataJob.objects.update(ended=timezone.now())
        with pytest.raises(RateLimited):
            jobs.ask(source, Kind.EXPORT, owner)


def accept(**kwargs):
    return True


def test_a_job_whose_process_was_killed_is_given_up(source):
    job = DataJob.objects.create(
        tenant=source, kind=Kind.EXPORT, user=source.owner, started=timezone.now()
    )
    other = connection.copy()
    with advisory_lock(f"data job {job.pk}", connection=other):
        jobs.settle(source)
        job.refresh_from_db()
        assert job.ended is None
        jobs.run(job.pk)  # a message that came twice
    other.close()

    jobs.settle(source)
    job.refresh_from_db()
    assert "interrupted" in job.failure


def test_a_job_whose_message_was_lost_is_given_up(source):
    job = DataJob.objects.create(tenant=source, kind=Kind.EXPORT, user=source.owner)
    jobs.settle(source)
    job.refresh_from_db()
    assert job.ended is None
    DataJob.objects.update(asked=timezone.now() - jobs.LONGEST_WAIT - timedelta(minutes=1))
    jobs.settle(source)
    job.refresh_from_db()
    assert "interrupted" in job.failure


# People


@pytest.mark.usefixtures("db")
def test_what_a_person_has_asked_for_is_exported_and_anonymised(ada, outside):
    archive = Archive.objects.create(tenant=outside, slug="first", by="ada", file="x", digest="x")
    now = timezone.now()
    DataJob.objects.create(tenant=outside, kind=Kind.EXPORT, user=ada, ended=now)
    data = data_of(ada)
    assert data["data_jobs"][0]["kind"] == "export"
    assert data["backups"][0]["slug"] == "first"

    deactivate("ada", by="test")
    anonymise("ada", by="test")
    archive.refresh_from_db()
    assert archive.by == f"gone-{ada.pk}"
    assert not DataJob.objects.exists()
