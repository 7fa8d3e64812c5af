from django.conf import settings

from server.tenants import lifecycle
from server.tenants.management.base import MoveCommand, add_noinput


class Command(MoveCommand):
    help = (
        "Have a tenant's hosts answer 410. `undelete_tenant` brings all of it back within"
        " TENANT_GRACE_DAYS; `purge_tenant` removes it for good."
    )

    def add_arguments(self, parser):
        super().add_arguments(parser)
        add_noinput(parser)

    def move(self, tenant, by, **options):
        lifecycle.delete(tenant, by)
        return f"“{tenant.slug}” is deleted, and kept for {settings.TENANT_GRACE_DAYS} days."
