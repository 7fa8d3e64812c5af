"""Back up all tenants, and keep their archives by number and age."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.core.management import CommandError
from django.utils import timezone
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy.concrete import Tenant
from tenancy.copies.backups import backup
from tenancy.copies.places import Place, name_of, schema_of, time_of
from tenancy.copies.prefetch import PrefetchedDumps
from tenancy.exceptions import CopyError, LifecycleError, SomeFailed, one_line
from tenancy.for_each import each_tenant
from tenancy.lifecycle.schema_names import name_now
from tenancy.locks import advisory_lock
from tenancy.models import TenantEvent


class Result(NamedTuple):
    made: int
    removed: int
    failures: dict[str, str]  # a reason for each slug, or for each archive that stays


def backup_all(place: Place, by: str, *, keep: int, days: int, purged_days: int) -> Result:
    """Write an archive of each tenant, and remove old ones.

    Of each tenant the newest `keep` archives stay, at least one, and all those of the last `days`.
    Those of a purged tenant go `purged_days` after its purge. A tenant that fails stops no other.
    Raises CopyError if another process does the same, or if the place can't be read.
    """

    def refuse():
        raise CopyError("Another process backs up all tenants right now.")

    with schema_context(get_public_schema_name()), advisory_lock("back up all", on_wait=refuse):
        names_in(place)
        made, failures = make_archives(place, by)
        removed = 0
        for name in outdated(names_in(place), timezone.now(), keep, days, purged_days):
            try:
                place.delete(name)
                removed += 1
            except OSError as error:
                failures[name] = one_line(error)
    return Result(made, removed, failures)


def make_archives(place: Place, by: str) -> tuple[int, dict[str, str]]:
    made = 0
    tenants = Tenant.objects.exclude(schema_name=get_public_schema_name())
    dumped = PrefetchedDumps(tenants.values_list("schema_name", flat=True))
    try:
        for step in each_tenant(tenants):
            with step as tenant:
                make_archive(place, tenant, by, dumped)
                made += 1
    except SomeFailed as failed:
        return made, dict(failed.reasons)
    return made, {}


def make_archive(place: Place, tenant: Tenant, by: str, dumped: PrefetchedDumps) -> None:
    write = partial(backup, tenant, by=by, dumped=dumped)
    try:
        dumped.prepare(tenant.schema_name)
        place.keep(name_of(tenant.schema_name, timezone.now()), write)
    except (LifecycleError, OSError) as error:  # for people, and so without a traceback
        raise CommandError(one_line(error)) from None


def outdated(
    names: Iterable[str], now: datetime, keep: int, days: int, purged_days: int
) -> list[str]:
    """Return the archives that may go."""
    archives = defaultdict(list)
    for name in sorted(names, key=time_of, reverse=True):
        archives[schema_now(schema_of(name))].append(name)
    purged = dict(
        TenantEvent.objects.filter(action="purge", after="purged").values_list("schema_name", "at")
    )
    found = []
    for schema_name, newest_first in archives.items():
        if schema_name in purged and purged[schema_name] <= now - timedelta(days=purged_days):
            found += newest_first
        else:
            oldest = now - timedelta(days=days)
            found += [name for name in newest_first[max(keep, 1) :] if time_of(name) < oldest]
    return found


def names_in(place: Place) -> list[str]:
    try:
        return place.names()
    except OSError as error:
        raise CopyError(f"{place} can't be read: {one_line(error)}") from None


def newest(place: Place) -> dict[str, str]:
    """Return the newest archive of each schema, by the schema's present name. Raises CopyError."""
    return {schema_now(schema_of(name)): name for name in sorted(names_in(place), key=time_of)}


def schema_now(schema_name: str) -> str:
    return name_now(schema_name) or schema_name
