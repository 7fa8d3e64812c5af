"""What the commands share that move a tenant from one state to another, or a person."""

from argparse import ArgumentTypeError

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from tenancy import lifecycle
from tenancy.concrete import Tenant
from tenancy.exceptions import LifecycleError, one_line
from tenancy.models import TenantEvent
from tenancy.states import end_of_grace

BY_LENGTH = TenantEvent._meta.get_field("by").max_length


class LifecycleCommand(BaseCommand):
    """Says what `perform` returns. It asks nothing; what it refuses is one line, and status 1."""

    def add_by(self, parser):
        parser.add_argument("--by", default="manage.py", help="who does it, for the log")

    def add_field(self, parser):
        parser.add_argument(
            "--field",
            metavar="NAME=VALUE",
            type=parse_field,
            action="append",
            default=[],
            help="a field that the project added to its tenants; repeat it for more",
        )

    def handle(self, *args, **options):
        for value in options.values():
            if isinstance(value, str) and not is_text(value):
                raise CommandError(f"{value!a} is no text.")
        if not 0 < len(options.get("by", "nobody")) <= BY_LENGTH:
            raise CommandError(f"--by takes 1 to {BY_LENGTH} characters.")
        try:
            return self.perform(**options)
        except LifecycleError as error:
            raise CommandError(error) from None
        except DatabaseError as error:
            raise CommandError(f"The database failed: {one_line(error)}") from error


class TenantCommand(LifecycleCommand):
    """Does one thing to the tenant that SLUG or --schema names: `act` returns what to print."""

    schema_options = ("--schema",)

    def add_arguments(self, parser):
        parser.add_argument("slug", nargs="?", help="which tenant: evilcorp")
        parser.add_argument(
            *("-s", *self.schema_options), dest="schema_name", help="or the name of its schema"
        )
        self.add_by(parser)

    def perform(self, *, slug, schema_name, by, **options):
        if (slug is None) == (schema_name is None):
            raise CommandError("Name the tenant by its slug, or by --schema.")
        wanted = {"slug": slug} if schema_name is None else {"schema_name": schema_name}
        return self.act(find_tenant(**wanted), by, **options)


# What each of these transitions does, and what its command prints.
TRANSITION_COMMANDS = {
    "suspend": (
        "Have a tenant's hosts answer 503, until `resume_tenant`.",
        "“{tenant.slug}” is suspended.",
    ),
    "resume": ("Have a suspended tenant's hosts answer again.", "“{tenant.slug}” is active."),
    "delete": (
        "Have a tenant's hosts answer 410. `undelete_tenant` brings all of it back within"
        " TENANT_GRACE_DAYS; `purge_tenant` removes it for good.",
        "“{tenant.slug}” is deleted, and kept until {end:%F}.",
    ),
    "undelete": (
        "Bring a deleted tenant back, active or suspended as it was.",
        "“{tenant.slug}” is {tenant.status}.",
    ),
}


def transition_command(action: str) -> type[TenantCommand]:
    """Return the command class of a name in TRANSITION_COMMANDS."""
    what, done = TRANSITION_COMMANDS[action]

    class Command(TenantCommand):
        help = what

        def add_arguments(self, parser):
            super().add_arguments(parser)
            if action == "delete":
                add_noinput(parser)  # the library's command of this name has it

        def act(self, tenant, by, **options):
            tenant = getattr(lifecycle, action)(tenant, by)
            return done.format(tenant=tenant, end=tenant.deleted and end_of_grace(tenant))

    return Command


def parse_field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ArgumentTypeError(f"it takes NAME=VALUE, like plan=team, not “{text}”")
    return name, value


class UserCommand(LifecycleCommand):
    """Does one thing to a person."""

    def add_arguments(self, parser):
        parser.add_argument("username", help="a user, by name or e-mail")
        self.add_by(parser)


def add_noinput(parser) -> None:
    """The option of the library's commands, which ask without it."""
    parser.add_argument(
        "--noinput",
        "--no-input",
        action="store_false",
        dest="interactive",
        help="for whom has been using the library's command: nothing is ever asked",
    )


def find_tenant(**wanted: str) -> Tenant:
    """The tenant with the slug or schema name. Raises CommandError."""
    ((field, value),) = wanted.items()
    if not is_text(value):
        raise CommandError(f"{value!a} is no text.")
    tenant = Tenant.all_objects.filter(**wanted).first()
    if tenant is None:
        raise CommandError(f"There is no tenant with the {field.replace('_', ' ')} “{value}”.")
    return tenant


def is_text(value: str) -> bool:
    """Whether PostgreSQL takes it: NUL it doesn't, nor bytes from a terminal that are no UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def table(rows: list[tuple[str, ...]]) -> str:
    """The rows below each other, the first being the titles."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
