"""Every exception of the engine, and how an error is said in one line."""

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db.utils import IntegrityError


class NoTenant(Exception):
    """A task was sent while no tenant was current, and isn't one that runs in public."""


class TenantGone(Exception):
    """The tenant that sent the task is purged, or its schema has another name."""


class TenantNotActive(Exception):
    """The tenant that sent the task is suspended, deleted, or not finished."""


class PublicWouldChange(Exception):
    """A migration of a tenant is about to commit another table than the tenant's."""


class SomeFailed(Exception):
    """Some tenants' turns failed: `reasons` has a line for each, by its slug."""

    def __init__(self, reasons: dict[str, str], total: int):
        super().__init__(reasons, total)
        self.reasons = reasons
        self.total = total

    def __str__(self):
        lines = [f"\n  {slug}: {reason}" for slug, reason in self.reasons.items()]
        return f"{len(lines)} of {self.total} tenants failed.{''.join(lines)}"


class WrongTenant(Exception):
    """Something of one tenant was about to be used in another."""


class SchemaNotReady(Exception):
    """A tenant was about to be entered whose schema isn't finished, or is about to go."""


class LocalPostgresError(Exception):
    """The message says in one line what went wrong and how to fix it."""


class MissingRequirement(ImproperlyConfigured):
    """The project lacks a setting or a package; the message says which line to add."""


class NoBlueprint(Exception):
    """There is none to use; the message says why."""


class DumpFailed(Exception):
    """pg_dump is missing or has failed; the message is a line that says what to do."""


class LifecycleError(Exception):
    """A tenant isn't made or changed; the message is a sentence for the person who asked for it."""


class IllegalTransition(LifecycleError):
    """The tenant's state doesn't allow the move. `args` are the move, the slug and the reason."""

    def __str__(self):
        move, slug, reason = self.args
        return f"Can't {move} “{slug}”: {reason}."


class CopyError(LifecycleError):
    """A tenant can't be cloned, backed up or restored."""


class InvalidHost(LifecycleError):
    """What was to be a tenant's host breaks the rule in `hosts.validate_host`."""


class HostTaken(LifecycleError):
    """Another tenant has the host."""


class Busy(LifecycleError):
    """Others have used a table without a pause for as long as purging was patient."""


class ProvisioningError(LifecycleError):
    """A tenant can't be made, or named, as was asked for."""


class InvalidName(ProvisioningError):
    """The tenant's or the organization's name is blank or too long."""


class InvalidSlug(ProvisioningError):
    """The slug breaks the rule in `hosts.validate_slug`, or is reserved."""


class InvalidField(ProvisioningError):
    """A field that the project added to Tenant is unknown, or its value is invalid."""


class SlugTaken(ProvisioningError):
    """Another tenant has the slug or the host."""


class UnknownUser(ProvisioningError):
    """No active user has the name."""


class InvalidSchemaName(LifecycleError):
    """The name breaks the rule in `hosts.SCHEMA_NAME`."""


class SchemaNameTaken(LifecycleError):
    """A tenant has or had the name, or something else in the database or among the uploads."""


class InvalidUser(LifecycleError):
    """The user name, the e-mail or the password breaks a rule, or somebody else has it."""


class NotDeactivated(LifecycleError):
    """The person is active, or a member somewhere: `deactivate` comes first, or once more."""


class Anonymised(LifecycleError):
    """Nobody knows any more who the person was."""


class InvalidRole(LifecycleError):
    """There is no such role, or it isn't given: `lifecycle.transfer` makes an owner."""


class NotAMember(LifecycleError):
    """The person is no member of the tenant."""


class OwnsTenant(LifecycleError):
    """Nobody takes an owner's role or membership; `lifecycle.transfer` comes first."""


class MissingLibraries(LocalPostgresError):
    """GeoDjango can't run on this machine; the message is one line with all that is missing."""


def one_line(error: BaseException) -> str:
    """Return what an error says as one line, for the sentence of another.

    A message that was written for people stands alone. Of other errors the type comes first, and
    only the first line is given: PostgreSQL's next lines quote the statement.
    """
    text = " ".join(str(error).split())
    if isinstance(error, (LifecycleError, DumpFailed, NoBlueprint, CommandError)):
        return text
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def is_taken(error: IntegrityError, model: type, field: str) -> bool:
    """Return whether the error says that another row has the value of the unique field.

    Django and PostgreSQL begin the name of such a constraint with the table and the column.
    """
    table, column = model._meta.db_table, model._meta.get_field(field).column
    diag = error.__cause__.diag
    return (diag.constraint_name or "").startswith(
        f"{table}_{column}_"
    ) and diag.sqlstate == "23505"
