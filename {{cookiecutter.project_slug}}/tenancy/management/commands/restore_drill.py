from django.core.management.base import CommandError
from django_tenants.utils import get_public_schema_name

from tenancy.concrete import Tenant
from tenancy.copies.drill import rehearse
from tenancy.copies.everything import newest
from tenancy.copies.places import default_place, place_of
from tenancy.exceptions import LifecycleError, one_line
from tenancy.management.base import LifecycleCommand, text


class Command(LifecycleCommand):
    help = (
        "Restore the newest archive of each tenant into a scratch schema, compare the rows, and"
        " leave nothing. It sends no e-mail and runs no task. The exit status is 1 if a restore"
        " fails, or if a tenant has no archive."
    )
    arguments = {
        "slugs": {"nargs": "*", "help": "only these tenants"},
        "--from": text("an absolute path or s3://… instead of BACKUPS_URL", dest="place"),
    }

    def perform(self, *, slugs, place, by):
        place = place_of(place) if place else default_place()
        tenants = Tenant.objects.exclude(schema_name=get_public_schema_name())
        if slugs:
            tenants = tenants.filter(slug__in=slugs)
            if unknown := sorted({*slugs} - {*tenants.values_list("slug", flat=True)}):
                raise CommandError(f"There is no tenant with the slug “{unknown[0]}”.")
        archives, failed = newest(place), 0
        for tenant in tenants.order_by("slug"):
            try:
                said = self.rehearsed(place, archives.get(tenant.schema_name))
            except (LifecycleError, OSError) as error:
                failed += 1
                said = f"FAILED: {one_line(error)}"
            self.stdout.write(f"{tenant.slug}: {said}")
        summary = f"{tenants.count() - failed} of {tenants.count()} tenants can be restored."
        if failed:
            raise CommandError(summary)
        return summary

    def rehearsed(self, place, name: str | None) -> str:
        if name is None:
            raise LifecycleError(f"there is no archive in {place}.")
        with place.fetched(name) as path:
            result = rehearse(path)
        return (
            f"{result.rows} rows in {result.tables} tables and {result.uploads} uploads,"
            f" as of {result.made} ({name})"
        )
