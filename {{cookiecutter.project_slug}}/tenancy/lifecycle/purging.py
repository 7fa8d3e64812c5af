"""Purging: the tenant's schema, files and rows go; its log stays, and its archives for a while."""

from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django_tenants.utils import quote_schema_name

from tenancy import signals
from tenancy.concrete import Tenant
from tenancy.exceptions import IllegalTransition, LifecycleError
from tenancy.lifecycle.schema_names import names_before
from tenancy.locks import without_waiting
from tenancy.models import Archive
from tenancy.schemas import private_files
from tenancy.schemas.ddl import drop_schema, leaving_tombstones
from tenancy.schemas.uploads import remove_files
from tenancy.states import (
    PURGING,
    end_of_grace,
    exclusive,
    fetch_for,
    log_event,
    new_event,
    transition,
)

ARCHIVE_DAYS = 30

# Those between the schema and another. A partition's go with those of the partitioned table.
FOREIGN_KEYS = """
    SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname)
    FROM pg_constraint
    JOIN pg_class AS own ON own.oid = conrelid
    JOIN pg_class AS other ON other.oid = confrelid
    WHERE contype = 'f' AND conparentid = 0
        AND (own.relnamespace = to_regnamespace(%(schema)s))
            <> (other.relnamespace = to_regnamespace(%(schema)s))
"""


def purge(tenant: Tenant, by: str, *, now: bool = False) -> None:
    """Remove a deleted tenant for good, after TENANT_GRACE_DAYS, or before with `now`.

    It commits as it goes, so it can't be called inside a transaction. If it was killed or raised
    Busy, or LifecycleError because uploads can't be removed, the next call finishes it. Raises
    IllegalTransition.
    """
    with exclusive("purge", tenant):
        # From this commit on the hosts are unknown, and nothing enters or renames the schema.
        with transaction.atomic(durable=True), transition("purge", tenant, by) as (row, event):
            end = end_of_grace(row)
            if event.before != PURGING and not now and timezone.now() < end:
                raise IllegalTransition("purge", row.slug, f"it is kept until {end:%F}")
        drop_foreign_keys(row.schema_name)
        without_waiting(lambda: drop_tables(row.schema_name))
        try:
            for name in [row.schema_name, *names_before(row.schema_name)]:
                remove_files(name)
                private_files.remove_folder(private_files.EXPORTS, name)
        except OSError as error:
            raise LifecycleError(f"Files can't be removed: {error}. Run it again.") from error
        remove_rows(tenant, by)


def drop_foreign_keys(schema_name: str) -> None:
    """Drop those to shared tables one by one. DROP SCHEMA would lock all these tables at once."""
    with connection.cursor() as cursor:
        cursor.execute(FOREIGN_KEYS, {"schema": quote_schema_name(schema_name)})
        for (statement,) in cursor.fetchall():
            without_waiting(lambda statement=statement: cursor.execute(statement))


def drop_tables(schema_name: str) -> None:
    with leaving_tombstones(schema_name):
        drop_schema(schema_name, missing_ok=True)


def remove_rows(tenant: Tenant, by: str) -> None:
    """Remove the tenant, its domains and memberships. From the commit on the slug is free.

    Its archives stay for TENANT_ARCHIVE_DAYS.
    """
    with transaction.atomic():
        row = fetch_for("purge", tenant, lock=True)
        days = getattr(settings, "TENANT_ARCHIVE_DAYS", ARCHIVE_DAYS)
        expires = timezone.now() + timedelta(days=days)
        Archive.objects.filter(tenant=row).update(expires=expires)
        log_event(new_event("purge", row, by, "purged"), row, signals.purged)
        Tenant._base_manager.filter(pk=row.pk).delete()
