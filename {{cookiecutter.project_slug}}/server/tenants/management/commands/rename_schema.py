from server.tenants.management.base import MoveCommand
from server.tenants.models import Tenant, TenantChange
from server.tenants.schema_names import MOVE, rename_schema


class Command(MoveCommand):
    help = (
        "Give a suspended tenant's schema another name, one that was never used; it is the output."
        " Running it again finishes what was interrupted."
    )
    schema_options = ("--schema", "--rename_from")

    def add_arguments(self, parser):
        super().add_arguments(parser)
        parser.add_argument("--rename_to", default="", help="made of the slug if not given")

    def carry_out(self, *, schema_name, rename_to, **options):
        if not Tenant.everything.filter(schema_name=schema_name).exists():
            done = TenantChange.objects.filter(move=MOVE, schema_name=schema_name, after=rename_to)
            schema_name = rename_to if done.exists() else schema_name
        return super().carry_out(schema_name=schema_name, rename_to=rename_to, **options)

    def move(self, tenant, by, *, rename_to, **options):
        return rename_schema(tenant, by, rename_to).schema_name
