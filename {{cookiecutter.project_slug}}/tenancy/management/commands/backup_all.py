from django.core.management.base import CommandError

from tenancy.copies.everything import backup_all
from tenancy.copies.places import default_place, place_of
from tenancy.lifecycle.purging import ARCHIVE_DAYS
from tenancy.management.base import LifecycleCommand, count, text


class Command(LifecycleCommand):
    help = (
        "Write an archive of each tenant to BACKUPS_URL, and remove old archives. A tenant that"
        " fails stops no other; the exit status is then 1."
    )
    arguments = {
        "--to": text("an absolute path or s3://… instead of BACKUPS_URL"),
        "--keep": count("how many archives of a tenant stay in any case", "BACKUPS_KEEP", 7),
        "--days": count("for how many days all of them stay", "BACKUPS_DAYS", 30),
        "--purged-days": count(
            "how many days after its purge a tenant's archives go",
            "TENANT_ARCHIVE_DAYS",
            ARCHIVE_DAYS,
        ),
    }

    def perform(self, *, to, **values):
        place = place_of(to) if to else default_place()
        result = backup_all(place, **values)
        summary = (
            f"{result.made} tenants backed up to {place}, {len(result.failures)} failed,"
            f" {result.removed} old archives removed."
        )
        if result.failures:
            reasons = "".join(f"\n  {name}: {why}" for name, why in result.failures.items())
            raise CommandError(f"{summary}{reasons}")
        return summary
