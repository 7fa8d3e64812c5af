"""What the engine's commands share."""

from argparse import ArgumentTypeError

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from tenancy.concrete import Tenant
from tenancy.exceptions import LifecycleError, one_line
from tenancy.models import TenantEvent

BY_LENGTH = TenantEvent._meta.get_field("by").max_length


def text(help: str, **options) -> dict:
    """An argument that takes text; an option that is left out is empty."""
    return {"default": "", "help": help, **options}


def flag(help: str, **options) -> dict:
    """An option without a value."""
    return {"action": "store_true", "help": help, **options}


def count(help: str, setting: str, default: int) -> dict:
    """An option that takes a number, 0 or more. Its default is in a setting."""
    return {"type": natural, "default": getattr(settings, setting, default), "help": help}


def natural(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"it takes a number, not “{text}”")
    return int(text)


def parse_field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ArgumentTypeError(f"it takes NAME=VALUE, like plan=team, not “{text}”")
    return name, value


FIELD = {
    "--field": {
        "metavar": "NAME=VALUE",
        "type": parse_field,
        "action": "append",
        "default": [],
        "help": "a field that the project added to its tenants; repeat it for more",
    }
}


class LifecycleCommand(BaseCommand):
    """Prints what `perform` returns. It never asks; a refusal is one line and exit status 1.

    `arguments` are added to the parser. `perform` gets their values and `by`, a name for the log.
    """

    arguments: dict[str, dict] = {}

    def add_arguments(self, parser):
        by = {"--by": text("your name, for the log", default="manage.py")}
        self.names = [
            parser.add_argument(*flags.split(), **options).dest
            for flags, options in (self.arguments | by).items()
        ]

    def handle(self, **options):
        values = {name: options[name] for name in self.names}
        for value in values.values():
            check_text(value)
        if not 0 < len(values["by"]) <= BY_LENGTH:
            raise CommandError(f"--by takes 1 to {BY_LENGTH} characters.")
        try:
            return self.perform(**self.resolve(values))
        except LifecycleError as error:
            raise CommandError(error) from None
        except DatabaseError as error:
            raise CommandError(f"The database failed: {one_line(error)}") from error

    def resolve(self, values: dict) -> dict:
        return values


class TenantCommand(LifecycleCommand):
    """Does one thing to a tenant. `perform` gets the `tenant` that the slug or --schema names."""

    schema_flags = "-s --schema"

    def add_arguments(self, parser):
        self.arguments = {
            "slug": {"nargs": "?", "help": "the tenant's slug"},
            self.schema_flags: {"dest": "schema_name", "help": "or the name of its schema"},
        } | self.arguments
        super().add_arguments(parser)

    def resolve(self, values):
        return {"tenant": find_tenant(values.pop("slug"), values.pop("schema_name")), **values}


def add_tenant_options(parser) -> None:
    """Add --schema and --slug, one of which names a tenant."""
    options = parser.add_mutually_exclusive_group()
    options.add_argument("-s", "--schema", dest="schema_name", help="the tenant's schema")
    options.add_argument("--slug", help="or its slug")


def find_tenant(slug: str | None, schema_name: str | None = None) -> Tenant:
    """Return the tenant with the slug or the schema name. Raises CommandError."""
    if (slug is None) == (schema_name is None):
        raise CommandError("Name the tenant by its slug, or by --schema.")
    field, value = ("slug", slug) if schema_name is None else ("schema_name", schema_name)
    check_text(value)
    tenant = Tenant.all_objects.filter(**{field: value}).first()
    if tenant is None:
        raise CommandError(f"There is no tenant with the {field.replace('_', ' ')} “{value}”.")
    return tenant


def check_text(value: object) -> None:
    """Raise CommandError for a string that PostgreSQL refuses: NUL, or bytes that are not UTF-8."""
    try:
        is_text = not isinstance(value, str) or b"\0" not in value.encode()
    except UnicodeEncodeError:
        is_text = False
    if not is_text:
        raise CommandError(f"{value!a} is not valid text.")


def format_table(rows: list[tuple[str, ...]]) -> str:
    """Return the rows in aligned columns. The first row has the titles."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
