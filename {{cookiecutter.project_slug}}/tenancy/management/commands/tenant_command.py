import argparse

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tenant_users.tenants.models import SchemaError

from tenancy.concrete import Tenant
from tenancy.exceptions import SchemaNotReady
from tenancy.management.base import find_tenant
from tenancy.management.wrapped import before_dashes, load, streams

EVERY = "all_tenants_command"


class Command(BaseCommand):
    help = (
        "Run a command in one tenant: `tenant_command loaddata notes.json --schema=NAME`. Where"
        " --schema or --slug comes before COMMAND, all that comes after it is the command's own."
    )
    requires_system_checks = []  # the command runs those that it needs

    def add_arguments(self, parser):
        add_which(parser)
        parser.add_argument("command_name", metavar="COMMAND", nargs=argparse.PARSER)

    def handle(self, *, command_name, schema_name, slug, **options):
        name, *arguments = command_name
        if schema_name is None and slug is None:
            mine, others = before_dashes(arguments)
            parser = CommandParser(add_help=False, allow_abbrev=False)
            add_which(parser)
            which, rest = parser.parse_known_args(mine)
            schema_name, slug, arguments = which.schema_name, which.slug, rest + others
        if name == EVERY and schema_name is None and slug is None:
            call_command(EVERY, *arguments, **streams(options))
            return
        command = load(name)
        try:
            with find(schema_name, slug):
                if self._called_from_command_line:  # output and exit status are the command's
                    command.run_from_argv(["manage.py", name, *arguments])
                else:
                    call_command(command, *arguments, **streams(options))
        except (SchemaNotReady, SchemaError) as error:  # the library makes people in public only
            raise CommandError(error) from None


def add_which(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-s", "--schema", dest="schema_name", help="the tenant's schema")
    which.add_argument("--slug", help="or its slug")


def find(schema_name: str | None, slug: str | None) -> Tenant:
    if (schema_name is None) == (slug is None):
        raise CommandError("Name the tenant: --schema NAME or --slug SLUG.")
    return find_tenant(slug=slug) if schema_name is None else find_tenant(schema_name=schema_name)
