import argparse

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django_tenants.utils import get_public_schema_name

from tenancy.concrete import Tenant
from tenancy.exceptions import SomeFailed
from tenancy.for_each import each_tenant
from tenancy.management.wrapped import load, split_at_dashes, streams


class Command(BaseCommand):
    help = (
        "Run a command in the public schema and in every active tenant. A failure in one doesn't"
        " stop the others. Failures are listed at the end, and the exit status is 1."
    )

    def add_arguments(self, parser):
        parser.add_argument("--no-public", action="store_true", help="not in the public schema")
        parser.add_argument("command_name", metavar="COMMAND", nargs=argparse.PARSER)

    def handle(self, *, command_name, no_public, **options):
        name, *arguments = command_name
        mine, others = split_at_dashes(arguments)
        arguments = [argument for argument in mine if argument != "--no-public"] + others
        # The command refuses unknown arguments once, not in every tenant.
        load(name).create_parser("manage.py", name).parse_args(arguments)
        tenants = Tenant.objects.active()
        if no_public or "--no-public" in mine:
            tenants = tenants.exclude(schema_name=get_public_schema_name())
        try:
            for turn in each_tenant(tenants):
                with turn as tenant:
                    self.stdout.write(f"Applying command to: {tenant.schema_name}")
                    try:
                        call_command(name, *arguments, **streams(options))
                    except SystemExit as end:
                        if end.code not in (None, 0):
                            raise CommandError(f"exit status {end.code}") from None
        except SomeFailed as error:
            raise CommandError(error) from None
