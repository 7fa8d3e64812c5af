import argparse

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tenant_users.tenants.models import SchemaError

from tenancy.exceptions import SchemaNotReady
from tenancy.management.base import add_tenant_options, find_tenant
from tenancy.management.wrapped import load, split_at_dashes, streams

EVERY = "all_tenants_command"


class Command(BaseCommand):
    help = (
        "Run a command in one tenant: `tenant_command loaddata notes.json --schema=NAME`. If"
        " --schema or --slug comes before COMMAND, everything after COMMAND belongs to it."
    )
    requires_system_checks = []  # the command runs those that it needs

    def add_arguments(self, parser):
        add_tenant_options(parser)
        parser.add_argument("command_name", metavar="COMMAND", nargs=argparse.PARSER)

    def handle(self, *, command_name, schema_name, slug, **options):
        name, *arguments = command_name
        if schema_name is None and slug is None:
            mine, others = split_at_dashes(arguments)
            parser = CommandParser(add_help=False, allow_abbrev=False)
            add_tenant_options(parser)
            named, rest = parser.parse_known_args(mine)
            schema_name, slug, arguments = named.schema_name, named.slug, rest + others
        if name == EVERY and schema_name is None and slug is None:
            call_command(EVERY, *arguments, **streams(options))
            return
        command = load(name)
        try:
            with find_tenant(slug, schema_name):
                if self._called_from_command_line:  # the command prints, and sets the exit status
                    command.run_from_argv(["manage.py", name, *arguments])
                else:
                    call_command(command, *arguments, **streams(options))
        except (SchemaNotReady, SchemaError) as error:  # users are created in public only
            raise CommandError(error) from None
