"""Archives: backups that the engine makes and keeps, each with its digest in the database.

They are files below PRIVATE_ROOT. `drop_expired` removes those of purged tenants.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import BinaryIO

from django.db.models import Q, QuerySet
from django.utils import timezone
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy.concrete import Tenant
from tenancy.copies.backups import backup
from tenancy.exceptions import CopyError
from tenancy.history import record
from tenancy.models import Archive
from tenancy.schemas import private_files
from tenancy.schemas.private_files import ARCHIVES

HALF_FOR = timedelta(days=1)  # after which an archive that isn't complete never will be

logger = logging.getLogger(__name__)


def keep(tenant: Tenant, by: str, *, is_scheduled: bool = False) -> Archive:
    """Back the tenant up into an archive, and return its row. Raises what `backup` raises."""
    with schema_context(get_public_schema_name()):
        name = private_files.new_file_name(ARCHIVES, tenant.schema_name, tenant.slug)
        # The row comes first, so that the file of a killed process is found again.
        archive = Archive.objects.create(
            tenant=tenant, slug=tenant.slug, by=by, is_scheduled=is_scheduled, file=name
        )
        try:
            path = backup(tenant, private_files.path_of(name), by)
            archive.size = path.stat().st_size
            with path.open("rb") as file:
                archive.digest = digest_of(file)
            archive.save(update_fields=["size", "digest"])
        except BaseException:
            remove(archive)
            raise
    return archive


def kept(tenant: Tenant) -> QuerySet[Archive]:
    """Return the tenant's complete archives, the newest first."""
    return Archive.objects.filter(tenant=tenant).exclude(digest="").order_by("-made", "-pk")


@contextmanager
def checked(archive: Archive) -> Iterator[BinaryIO]:
    """Open an archive, which is as it was made. Raises CopyError if it isn't, or isn't there."""
    try:
        file = private_files.path_of(archive.file).open("rb")
    except OSError as error:
        message = f"The archive {archive.file} can't be read: {error.strerror}."
        raise CopyError(message) from error
    with file:
        if not archive.digest or digest_of(file) != archive.digest:
            raise CopyError(f"The archive {archive.file} isn't as it was made.")
        file.seek(0)
        yield file


def drop(archive: Archive, by: str) -> None:
    """Remove an archive, with a line in the tenant's history."""
    remove(archive)
    record("drop archive", archive.tenant, by, before=f"{archive.made:%F %H:%M}")


def drop_surplus(tenant: Tenant, most: int, by: str, *, is_scheduled: bool = False) -> None:
    """Remove all but the newest archives that a program, or that people have made."""
    for archive in kept(tenant).filter(is_scheduled=is_scheduled)[most:]:
        drop(archive, by)


def drop_expired() -> None:
    """Remove the archives of purged tenants after TENANT_ARCHIVE_DAYS, and unfinished ones."""
    now = timezone.now()
    due = Q(expires__lte=now) | Q(digest="", made__lt=now - HALF_FOR)
    for archive in Archive.objects.filter(due):
        remove(archive)
        logger.info("The archive %s is removed.", archive.file)


def remove(archive: Archive) -> None:
    private_files.remove(archive.file)
    Archive.objects.filter(pk=archive.pk).delete()


def digest_of(file: BinaryIO) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()
