import sys

from tenancy.exceptions import LifecycleError
from tenancy.lifecycle import nodes
from tenancy.management.base import LifecycleCommand


class Command(LifecycleCommand):
    help = (
        "Move the tenants that are still on the coordinator of Citus to its nodes, one after the"
        " other. Requests of the tenant that is moved wait. Run it again if it was interrupted."
    )

    def perform(self, *, by):
        tenants, failed = nodes.undistributed(), 0
        for tenant in tenants:
            try:
                node = nodes.distribute_tenant(tenant, by)
            except LifecycleError as error:
                failed += 1
                self.stderr.write(str(error))
            else:
                self.stdout.write(f"“{tenant.slug}” is on {node}.")
        self.stdout.write(f"Moved: {len(tenants) - failed}. Failed: {failed}.")
        if failed:
            sys.exit(1)
