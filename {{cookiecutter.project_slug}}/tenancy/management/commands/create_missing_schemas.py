from django.core.management.base import CommandError
from django.db import DatabaseError

from tenancy import lifecycle
from tenancy.concrete import Tenant
from tenancy.exceptions import LifecycleError, SlugTaken, SomeFailed, one_line
from tenancy.lifecycle.recreate import without_schema
from tenancy.management.base import LifecycleCommand, find_tenant


class Command(LifecycleCommand):
    help = (
        "Create the missing schemas of tenants that were never finished. A schema that was lost is"
        " created only for --schema NAME, and is empty."
    )
    arguments = {"-s --schema": {"dest": "schema_name", "help": "create only this schema, empty"}}

    def perform(self, *, schema_name, by):
        tenants = without_schema()
        if schema_name is not None:
            tenant = find_tenant(None, schema_name)
            if tenant not in tenants:
                raise CommandError(f"The schema {schema_name} isn't missing.")
            tenants = [tenant]
        reasons = {}
        for tenant in tenants:
            try:
                if tenant.status == Tenant.Status.PROVISIONING:
                    lifecycle.finish(tenant, by)
                elif schema_name is None:
                    reasons[tenant.slug] = (
                        f"it is {tenant.status}, and its schema is lost: restore a backup, or let"
                        f" --schema {tenant.schema_name} create an empty one"
                    )
                    continue
                else:
                    lifecycle.recreate_schema(tenant, by)
                self.stdout.write(f"{tenant.schema_name} is created.")
            except SlugTaken as error:  # another process is creating it
                self.stdout.write(str(error))
            except (LifecycleError, DatabaseError) as error:
                reasons[tenant.slug] = one_line(error)
        if reasons:
            raise CommandError(SomeFailed(reasons, len(tenants)))
        return "Done"
