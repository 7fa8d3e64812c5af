from django.core.management.base import CommandError
from django.db import DatabaseError

from tenancy import lifecycle
from tenancy.concrete import Tenant
from tenancy.exceptions import LifecycleError, SlugTaken, SomeFailed, one_line
from tenancy.lifecycle.recreate import recreate_schema, without_schema
from tenancy.management.base import LifecycleCommand, find_tenant


class Command(LifecycleCommand):
    help = (
        "Make the schemas that are missing: those of tenants that were never finished. One that was"
        " lost is made only for --schema NAME, and is empty."
    )

    def add_arguments(self, parser):
        parser.add_argument("-s", "--schema", dest="schema_name", help="make this one, empty")
        self.add_by(parser)

    def perform(self, *, schema_name, by, **options):
        tenants = without_schema()
        if schema_name is not None:
            tenant = find_tenant(schema_name=schema_name)
            if tenant not in tenants:
                raise CommandError(f"The schema {schema_name} isn't missing.")
            tenants = [tenant]
        reasons = {}
        for tenant in tenants:
            try:
                if tenant.status == Tenant.Status.PROVISIONING:
                    lifecycle.finish(tenant, by)
                elif schema_name is None:
                    reasons[tenant.slug] = lost(tenant)
                    continue
                else:
                    recreate_schema(tenant, by)
                self.stdout.write(f"{tenant.schema_name} is made.")
            except SlugTaken as error:  # nothing is wrong with that
                self.stdout.write(str(error))
            except (LifecycleError, DatabaseError) as error:
                reasons[tenant.slug] = one_line(error)
        if reasons:
            raise CommandError(SomeFailed(reasons, len(tenants)))
        return "Done"


def lost(tenant: Tenant) -> str:
    return (
        f"it is {tenant.status}, and its schema is lost: restore a backup, or let --schema"
        f" {tenant.schema_name} make an empty one"
    )
