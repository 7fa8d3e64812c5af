from tenancy.concrete import Tenant
from tenancy.lifecycle.schema_names import ACTION, rename_schema
from tenancy.management.base import TenantCommand, text
from tenancy.models import TenantEvent


class Command(TenantCommand):
    help = (
        "Give a suspended tenant's schema a name that was never used. Prints the name. Run it again"
        " if it was interrupted."
    )
    schema_flags = "-s --schema --rename_from"
    arguments = {"--rename_to": text("the new name; default: the slug and random digits")}

    def resolve(self, values):
        # The same call again finds the schema under its new name.
        old, new = values["schema_name"], values["rename_to"]
        if not Tenant.all_objects.filter(schema_name=old).exists():
            renamed = TenantEvent.objects.filter(action=ACTION, schema_name=old, after=new)
            values["schema_name"] = new if renamed.exists() else old
        return super().resolve(values)

    def perform(self, *, tenant, by, rename_to):
        return rename_schema(tenant, by, rename_to).schema_name
