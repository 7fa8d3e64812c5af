"""The end of a tenant: its schema, files and rows go; what the log says of it stays."""

import time
from collections.abc import Callable

from django.db import OperationalError, connection, transaction
from django.db.backends.postgresql.psycopg_any import errors
from django.utils import timezone
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context

from tenancy import signals
from tenancy.concrete import Tenant
from tenancy.exceptions import Busy, IllegalTransition, LifecycleError
from tenancy.lifecycle.schema_names import names_before
from tenancy.locks import advisory_lock
from tenancy.schemas.ddl import drop_schema, leaving_tombstones
from tenancy.schemas.uploads import remove_files
from tenancy.states import PURGING, end_of_grace, fetch_for, log_event, new_event, transition

LOCK_TIMEOUT = 100  # milliseconds: so long whoever comes after us may wait for a shared table
PATIENCE = 60  # seconds

# Those between a table of the schema and one outside. A partition's go with those of the whole.
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

    It commits as it goes and so can't be called inside a transaction. A second call finishes what
    one left that was killed, or raised Busy, or LifecycleError for uploads that can't be removed.
    Raises IllegalTransition.
    """

    def refuse():
        raise IllegalTransition("purge", tenant.slug, "it is being purged right now")

    with (
        schema_context(get_public_schema_name()),
        advisory_lock(f"purge {tenant.pk}", on_wait=refuse),
    ):
        schema_name = begin(tenant, by, now).schema_name
        drop_foreign_keys(schema_name)
        without_waiting(lambda: drop_tables(schema_name))
        try:
            for name in [schema_name, *names_before(schema_name)]:
                remove_files(name)
        except OSError as error:
            raise LifecycleError(f"Uploads can't be removed: {error}. Run it again.") from error
        remove_rows(tenant, by)


def begin(tenant: Tenant, by: str, now: bool) -> Tenant:
    """From here on, its hosts are unknown, and nothing enters or renames its schema."""
    with transaction.atomic(durable=True), transition("purge", tenant, by) as (row, event):
        if event.before != PURGING and not now and timezone.now() < end_of_grace(row):
            raise IllegalTransition("purge", row.slug, f"it is kept until {end_of_grace(row):%F}")
        return row


def drop_foreign_keys(schema_name: str) -> None:
    """Those that lead to shared tables, one by one: DROP SCHEMA would lock all tables at once."""
    with connection.cursor() as cursor:
        cursor.execute(FOREIGN_KEYS, {"schema": quote_schema_name(schema_name)})
        statements = [statement for (statement,) in cursor]
        for statement in statements:
            without_waiting(lambda statement=statement: cursor.execute(statement))


def drop_tables(schema_name: str) -> None:
    with leaving_tombstones(schema_name):
        drop_schema(schema_name, missing_ok=True)


def without_waiting(work: Callable[[], object]) -> None:
    """Do the work in a transaction, and anew when it would keep others waiting. Raises Busy."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}")
                work()
                return
        except OperationalError as error:
            if not isinstance(error.__cause__, errors.LockNotAvailable):
                raise
            if time.monotonic() > end:
                raise Busy(f"Others use a table without a pause: {error}") from None
        time.sleep(LOCK_TIMEOUT / 1000)  # those who waited behind us go first


def remove_rows(tenant: Tenant, by: str) -> None:
    """The tenant, its domains and memberships: from here on, the slug is free."""
    with transaction.atomic():
        row = fetch_for("purge", tenant, lock=True)
        log_event(new_event("purge", row, by, "purged"), row, signals.purged)
        Tenant._base_manager.filter(pk=row.pk).delete()
