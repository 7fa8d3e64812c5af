"""Work on a workspace's data that its owner asks for: exports, backups, and new workspaces.

A worker does it, if there is a receiver of `data_job_asked` that sends it there; otherwise a thread
does. A workspace has one such job at a time.
"""

import logging
import threading
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from functools import partial
from typing import BinaryIO

from django.conf import settings
from django.db import IntegrityError, connections, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy import hosts, signals
from tenancy.concrete import Tenant, User
from tenancy.copies import kept
from tenancy.copies.export import export
from tenancy.copies.restoring import restore
from tenancy.emails import send_email
from tenancy.exceptions import (
    DataJobRuns,
    ExportGone,
    LifecycleError,
    OtherMigrations,
    ProvisioningError,
    one_line,
)
from tenancy.history import record
from tenancy.limits import limit
from tenancy.locks import advisory_lock
from tenancy.models import DataJob
from tenancy.preferences import preferences_of
from tenancy.schemas import private_files

Kind = DataJob.Kind
RATES = {Kind.EXPORT: "3/1d", Kind.BACKUP: "5/1d", Kind.COPY: "5/1d"}
ACTIONS = {
    Kind.EXPORT: "export",
    Kind.BACKUP: "ask for backup",
    Kind.COPY: "make workspace from data",
}
DOWNLOADABLE = timedelta(hours=24)
LONGEST_WAIT = timedelta(hours=2)  # for a worker, after which the message must be lost
REMEMBERED = timedelta(days=30)  # a job after its end
MAX_ARCHIVES = 10  # of one workspace, made by people

logger = logging.getLogger(__name__)


class Held(Exception):
    """Another process does the job."""


def ask(tenant: Tenant, kind: Kind, by: User, **values) -> DataJob:
    """Begin a job after the commit. `values` are an archive, a name and a slug of a new workspace.

    Raises DataJobRuns, and RateLimited.
    """
    settle(tenant)
    with schema_context(get_public_schema_name()):
        if of(tenant).filter(ended=None).exists():
            raise running()
        limit(f"data-{kind}", str(tenant.pk), RATES[kind])
        try:
            with transaction.atomic():
                job = DataJob.objects.create(tenant=tenant, kind=kind, user=by, **values)
        except IntegrityError:  # of two requests at once, the other was quicker
            raise running() from None
        record(ACTIONS[kind], tenant, by.get_username(), after=job.slug)
        transaction.on_commit(partial(begin, job.pk))
    return job


def running() -> DataJobRuns:
    return DataJobRuns(_("Something is being made already. Wait until it is ready."))


def of(tenant: Tenant) -> QuerySet[DataJob]:
    """Return the tenant's jobs, the newest first."""
    return DataJob.objects.filter(tenant=tenant).order_by("-pk")


def begin(pk: int) -> None:
    answers = signals.data_job_asked.send_robust(sender=DataJob, pk=pk)
    if not any(answer is True for _receiver, answer in answers):
        threading.Thread(target=run_in_thread, args=[pk], name="data job").start()


def run_in_thread(pk: int) -> None:
    try:
        run(pk)
    finally:
        connections.close_all()


def run(pk: int) -> None:
    """Do the job, unless it is done or another process does it. A failure is noted and logged."""
    # The lock shows others that this process lives.
    with schema_context(get_public_schema_name()), suppress(Held), job_lock(pk):
        if not DataJob.objects.filter(pk=pk, started=None, ended=None).update(started=Now()):
            return
        job = DataJob.objects.select_related("tenant", "user", "archive").get(pk=pk)
        try:
            do(job)
        except Exception as error:
            reason = one_line(error)
            trace = None if isinstance(error, LifecycleError) else error
            logger.exception("Data job %s: %s", pk, reason, exc_info=trace)
            with preferences_of(job.user.email):
                fail(job, reason_for_people(error))


def job_lock(pk: int) -> AbstractContextManager:
    """Hold the lock that the process has that does the job. Raises Held."""

    def stop():
        raise Held

    return advisory_lock(f"data job {pk}", on_wait=stop)


def is_alive(job: DataJob) -> bool:
    """Return whether a process does the job that was started."""
    try:
        with job_lock(job.pk):
            return False
    except Held:
        return True


def reason_for_people(error: Exception) -> str:
    if isinstance(error, ProvisioningError):
        return str(error)
    if isinstance(error, OtherMigrations):
        return _("The backup is of an earlier version of this site. Ask us to restore it.")
    return _("Something went wrong. We have noted it.")


def make_export(job: DataJob) -> None:
    tenant = job.tenant
    job.file = private_files.new_file_name(private_files.EXPORTS, tenant.schema_name, tenant.slug)
    job.save(update_fields=["file"])
    path = private_files.path_of(job.file)
    with preferences_of(job.user.email):
        export(tenant, path)
    end(job, size=path.stat().st_size, expires=timezone.now() + DOWNLOADABLE)
    url = hosts.site_url(tenant.get_primary_domain().domain, "/workspace/data/")
    context = {
        "workspace": tenant.name,
        "url": url,
        "hours": int(DOWNLOADABLE.total_seconds() / 3600),
    }
    transaction.on_commit(partial(send_email, "export_ready", job.user.email, context), robust=True)


def make_backup(job: DataJob) -> None:
    keep(job)
    end(job)


def make_copy(job: DataJob) -> None:
    """Make a new workspace from an archive, or a new one. Receivers tell its owner, as always."""
    archive = job.archive or keep(job)
    owner = job.user.get_username()
    with kept.checked(archive) as file:
        restore(
            file,
            owner,
            slug=job.slug,
            name=job.name,
            organization=job.tenant.organization,
            owner=owner,
            is_own=True,
        )
    end(job)


WORK = {Kind.EXPORT: make_export, Kind.BACKUP: make_backup, Kind.COPY: make_copy}


def do(job: DataJob) -> None:
    if job.tenant.owner_id != job.user_id:
        raise LifecycleError("Another person owns the workspace by now.")
    WORK[job.kind](job)


def keep(job: DataJob):
    by = job.user.get_username()
    archive = kept.keep(job.tenant, by)
    kept.drop_surplus(job.tenant, getattr(settings, "MAX_ARCHIVES", MAX_ARCHIVES), by)
    return archive


def end(job: DataJob, **values) -> None:
    """Note that the job is done. Raises LifecycleError if it counts as failed by now."""
    rows = DataJob.objects.filter(pk=job.pk, ended=None)
    if not rows.update(ended=Now(), **values):
        raise LifecycleError(f"{job} was given up.")


def fail(job: DataJob, reason: str) -> None:
    if job.file:
        private_files.remove(job.file)
    DataJob.objects.filter(pk=job.pk, ended=None).update(ended=Now(), failure=reason, file="")


def settle(tenant: Tenant | None = None) -> None:
    """Give up the jobs whose process or message was lost, of the tenant or of all."""
    rows = DataJob.objects.filter(ended=None)
    for job in rows.filter(tenant=tenant) if tenant else rows:
        if job.started is None:
            is_lost = timezone.now() - job.asked > LONGEST_WAIT
        else:
            is_lost = not is_alive(job)
        if is_lost:
            fail(job, _("It was interrupted. Try again."))


def downloadable(tenant: Tenant) -> QuerySet[DataJob]:
    """Return the exports that can be downloaded."""
    rows = of(tenant).filter(kind=Kind.EXPORT, downloaded=None, expires__gt=timezone.now())
    return rows.exclude(file="")


def take(tenant: Tenant, pk: int, by: User) -> BinaryIO:
    """Open an export for the only download. Its file is removed. Raises ExportGone."""
    gone = ExportGone(_("This export was downloaded already, or has expired."))
    job = downloadable(tenant).filter(pk=pk).first()
    if job is None:
        raise gone
    try:
        file = private_files.path_of(job.file).open("rb")
    except OSError as error:
        logger.error("An export is lost: %s", one_line(error))  # noqa: TRY400
        raise gone from error
    # Of two requests at once, one has it.
    if not downloadable(tenant).filter(pk=pk).update(downloaded=Now(), file=""):
        file.close()
        raise gone
    private_files.remove(job.file)  # what is open stays readable
    record("download export", tenant, by.get_username())
    return file


def clean_up() -> None:
    """Remove the exports that have expired, what lost processes left, and old archives and jobs."""
    with schema_context(get_public_schema_name()):
        settle()
        now = timezone.now()
        for job in DataJob.objects.filter(expires__lte=now).exclude(file=""):
            private_files.remove(job.file)
            DataJob.objects.filter(pk=job.pk).update(file="")
        DataJob.objects.filter(Q(ended__lt=now - REMEMBERED)).delete()
        kept.drop_expired()
