from tenancy import lifecycle
from tenancy.management.base import TenantCommand


class Command(TenantCommand):
    help = (
        "Remove a deleted tenant for good, with its schema and uploads, after TENANT_GRACE_DAYS."
        " Running it again finishes what was interrupted."
    )

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--now", action="store_true", help="before the time of grace is over")

    def act(self, tenant, by, *, now, **options):
        lifecycle.purge(tenant, by, now=now)
        return f"“{tenant.slug}” is purged."
