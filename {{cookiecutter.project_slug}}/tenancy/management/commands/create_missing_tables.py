from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django_tenants.utils import get_public_schema_name

from tenancy.concrete import Tenant
from tenancy.fleet.missing_tables import create_tables
from tenancy.locks import advisory_lock


class Command(BaseCommand):
    help = (
        "Create the tables of apps, empty, in each schema that lacks all of them although their"
        " migrations are recorded: after a move between SHARED_APPS and TENANT_APPS."
    )
    requires_system_checks = []  # they may fail because of the missing tables

    def add_arguments(self, parser):
        parser.add_argument("app_label", nargs="+")
        parser.add_argument("-s", "--schema", dest="schema_name", help="only in this schema")

    def handle(self, *, app_label, schema_name, **options):
        tenants = Tenant.all_objects.to_migrate().values_list("schema_name", flat=True)
        schemas = [get_public_schema_name(), *tenants]
        if schema_name:
            if schema_name not in schemas:
                raise CommandError(f"There is no tenant with the schema name “{schema_name}”.")
            schemas = [schema_name]
        with advisory_lock("migrate_schemas"):
            for label in app_label:
                try:
                    apps.get_app_config(label)
                except LookupError as error:
                    raise CommandError(str(error)) from None
                for schema in create_tables(connection, label, schemas):
                    self.stdout.write(f"{schema} has the tables of {label}.")
