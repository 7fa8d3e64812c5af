from tenancy.lifecycle.nodes import move_tenant
from tenancy.management.base import TenantCommand, flag, text


class Command(TenantCommand):
    help = "Move a tenant to another node of Citus, while it is in use."
    arguments = {
        "node": text("the node as `tenants` shows it, such as 10.0.0.2:5432"),
        "--block-writes": flag("let writes wait: a table without a primary key needs that"),
    }

    def perform(self, *, tenant, node, by, block_writes):
        before = move_tenant(tenant, node, by, blocks_writes=block_writes)
        return f"“{tenant.slug}” is on {node}, and was on {before}."
