import argparse

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django_tenants.utils import get_public_schema_name

from tenancy.concrete import Tenant
from tenancy.exceptions import SomeFailed
from tenancy.for_each import each_tenant
from tenancy.management.wrapped import before_dashes, load, streams


class Command(BaseCommand):
    help = (
        "Run a command in the public schema and in every active tenant. One in which it fails stops"
        " no other; those are named in the end, and the exit status is 1."
    )

    def add_arguments(self, parser):
        parser.add_argument("--no-public", action="store_true", help="not in the public schema")
        parser.add_argument("command_name", metavar="COMMAND", nargs=argparse.PARSER)

    def handle(self, *, command_name, no_public, **options):
        name, *arguments = command_name
        mine, others = before_dashes(arguments)
        arguments = [each for each in mine if each != "--no-public"] + others
        # What the command doesn't understand it refuses once, not in every tenant.
        load(name).create_parser("manage.py", name).parse_args(arguments)
        tenants = Tenant.objects.active()
        if no_public or "--no-public" in mine:
            tenants = tenants.exclude(schema_name=get_public_schema_name())
        try:
            for turn in each_tenant(tenants):
                with turn as tenant:
                    self.stdout.write(f"Applying command to: {tenant.schema_name}")
                    run(name, arguments, streams(options))
        except SomeFailed as error:
            raise CommandError(error) from None


def run(name: str, arguments: list[str], where: dict) -> None:
    try:
        call_command(name, *arguments, **where)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise CommandError(f"exit status {end.code}") from None
