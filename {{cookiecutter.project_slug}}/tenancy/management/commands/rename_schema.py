from tenancy.concrete import Tenant
from tenancy.lifecycle.schema_names import ACTION, rename_schema
from tenancy.management.base import TenantCommand
from tenancy.models import TenantEvent


class Command(TenantCommand):
    help = (
        "Give a suspended tenant's schema another name, one that was never used; it is the output."
        " Running it again finishes what was interrupted."
    )
    schema_options = ("--schema", "--rename_from")

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--rename_to", default="", help="made of the slug if not given")

    def perform(self, *, schema_name, rename_to, **options):
        if not Tenant.all_objects.filter(schema_name=schema_name).exists():
            done = TenantEvent.objects.filter(
                action=ACTION, schema_name=schema_name, after=rename_to
            )
            schema_name = rename_to if done.exists() else schema_name
        return super().perform(schema_name=schema_name, rename_to=rename_to, **options)

    def act(self, tenant, by, *, rename_to, **options):
        return rename_schema(tenant, by, rename_to).schema_name
