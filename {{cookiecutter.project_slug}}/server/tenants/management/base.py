"""What the commands share that move a tenant from one state to another, or a person."""

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from server.tenants.errors import in_a_line
from server.tenants.models import Tenant, TenantChange
from server.tenants.moves import LifecycleError

BY_LENGTH = TenantChange._meta.get_field("by").max_length


class LifecycleCommand(BaseCommand):
    """Says what `carry_out` returns. It asks nothing; what it refuses is one line, and status 1."""

    def add_by(self, parser):
        parser.add_argument("--by", default="manage.py", help="who does it, for the log")

    def handle(self, *args, **options):
        for value in options.values():
            if isinstance(value, str) and not is_text(value):
                raise CommandError(f"{value!a} is no text.")
        if not 0 < len(options.get("by", "nobody")) <= BY_LENGTH:
            raise CommandError(f"--by takes 1 to {BY_LENGTH} characters.")
        try:
            return self.carry_out(**options)
        except LifecycleError as error:
            raise CommandError(error) from None
        except DatabaseError as error:
            raise CommandError(f"The database failed: {in_a_line(error)}") from error


class MoveCommand(LifecycleCommand):
    """Does one thing to the tenant that SLUG or --schema names: `move` says what was done."""

    schema_options = ("--schema",)

    def add_arguments(self, parser):
        parser.add_argument("slug", nargs="?", help="which tenant: evilcorp")
        parser.add_argument(
            *("-s", *self.schema_options), dest="schema_name", help="or the name of its schema"
        )
        self.add_by(parser)

    def carry_out(self, *, slug, schema_name, by, **options):
        if (slug is None) == (schema_name is None):
            raise CommandError("Name the tenant by its slug, or by --schema.")
        wanted = {"slug": slug} if schema_name is None else {"schema_name": schema_name}
        return self.move(find_tenant(**wanted), by, **options)


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
    tenant = Tenant.everything.filter(**wanted).first()
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
