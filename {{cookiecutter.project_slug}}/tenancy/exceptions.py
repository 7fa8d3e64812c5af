"""The engine's exceptions, how to say an error in one line, and PostgreSQL's code of an error."""

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import IntegrityError, OperationalError


class NoTenant(Exception):
    """A task was sent while no tenant was current, and it is not a public task."""


class TenantGone(Exception):
    """The tenant that sent the task was purged, or its schema was renamed."""


class TenantNotActive(Exception):
    """The tenant that sent the task is suspended, deleted or not finished."""


class PublicWouldChange(Exception):
    """A tenant's migration is about to commit a change outside the tenant's schema."""


class HalfDone(CommandError):
    """A migration's changes are there, or gone, in part. The message says what to do."""


class SomeFailed(Exception):
    """The code failed in some tenants. `reasons` maps a slug to one line."""

    def __init__(self, reasons: dict[str, str], total: int):
        super().__init__(reasons, total)
        self.reasons = reasons
        self.total = total

    def __str__(self):
        lines = [f"\n  {slug}: {reason}" for slug, reason in self.reasons.items()]
        return f"{len(lines)} of {self.total} tenants failed.{''.join(lines)}"


class WrongTenant(Exception):
    """An object of one tenant was about to be used in another."""


class ReferencedByTenants(IntegrityError):
    """A shared row was about to be deleted in public, and rows of `referring` may refer to it."""

    def __init__(self, model, referring, field):
        super().__init__(model, referring, field)
        self.model, self.referring, self.field = model, referring, field

    def __str__(self):
        return (
            f"A {self.model._meta.label} is not deleted in public: rows of tenants may refer to it"
            f" ({self.field}). Delete or change those in each tenant, and then delete it in a block"
            " `with ignoring_tenants():` (tenancy.isolation.deletion)."
        )


class RateLimited(Exception):
    """The limit `name` is reached. `wait` is how many seconds it lasts."""

    def __init__(self, name: str, wait: int):
        super().__init__(name, wait)
        self.name = name
        self.wait = wait

    def __str__(self):
        return f"The limit “{self.name}” is reached. Wait {self.wait} s."


class ReadOnly(Exception):
    """A request that may only read was about to change a file, or to send a task."""


class SchemaNotReady(Exception):
    """A tenant can't be entered while its schema is being made or purged."""


class LocalPostgresError(Exception):
    """The embedded PostgreSQL can't run. The message is one line that says how to fix it."""


class MissingLibraries(LocalPostgresError):
    """GeoDjango can't run on this machine. The message is one line that names what is missing."""


class MissingRequirement(ImproperlyConfigured):
    """The project lacks a setting or a package; the message says which line to add."""


class MixingPooler(MissingRequirement):
    """A pooler between the process and PostgreSQL isn't in session mode."""


class DatabaseAway(OperationalError, CommandError):
    """No connection to the database could be opened.

    It is a CommandError as well, so that a command ends with one line.
    """


class NoBlueprint(Exception):
    """No blueprint can be used. The message says why."""


class DumpFailed(Exception):
    """pg_dump is missing or failed. The message is one line that says what to do."""


class LifecycleError(Exception):
    """A tenant or a person can't be changed. The message is a sentence for people."""


class IllegalTransition(LifecycleError):
    """The tenant's state forbids the transition. `args` are its name, the slug and the reason."""

    def __str__(self):
        action, slug, reason = self.args
        return f"Can't {action} “{slug}”: {reason}."


class CopyError(LifecycleError):
    """A tenant can't be cloned, backed up or restored."""


class DataJobRuns(LifecycleError):
    """The workspace has one job on its data at a time."""


class ExportGone(LifecycleError):
    """The export was downloaded, has expired, or never was there."""


class OtherMigrations(CopyError):
    """The backup has other migrations than the code, which can't restore it."""


class InvalidHost(LifecycleError):
    """The host breaks the rule in `hosts.validate_host`."""


class HostTaken(LifecycleError):
    """The host already leads to a tenant."""


class Busy(LifecycleError):
    """Purging gave up, because other transactions used a table all the time."""


class NoCitus(LifecycleError):
    """The server is no coordinator of Citus, so tenants are on no nodes."""


class UnknownNode(LifecycleError):
    """Citus has no such node."""


class InvalidSchemaName(LifecycleError):
    """The name breaks the rule in `hosts.SCHEMA_NAME`."""


class SchemaNameTaken(LifecycleError):
    """The name is or was in use, in the database or among the uploads."""


class ProvisioningError(LifecycleError):
    """A tenant can't be made with these arguments."""


class InvalidName(ProvisioningError):
    """The tenant's or the organization's name is blank, too long or of several lines."""


class InvalidSlug(ProvisioningError):
    """The slug breaks the rule in `hosts.validate_slug`, or is reserved."""


class InvalidField(ProvisioningError):
    """A field of the project's tenant model is unknown, or its value is invalid."""


class SlugTaken(ProvisioningError):
    """Another tenant has the slug or its host."""


class UnknownOrganization(ProvisioningError):
    """No organization has the id."""


class AmbiguousOrganization(ProvisioningError):
    """Several organizations have the name."""


class UnknownUser(ProvisioningError):
    """No user, or no active one, has the user name or e-mail."""


class InvalidUser(LifecycleError):
    """The user name, e-mail or password breaks a rule, or another user has it."""


class NotDeactivated(LifecycleError):
    """The person is active or still a member. Call `deactivate`, perhaps again."""


class Anonymised(LifecycleError):
    """The person was anonymised and can't come back."""


class InvalidRole(LifecycleError):
    """The role doesn't exist, or is the owner's, which `lifecycle.transfer` gives."""


class NotAMember(LifecycleError):
    """The person is not a member of the tenant."""


class AlreadyMember(LifecycleError):
    """A member has the e-mail that was to be invited."""


class NoSeat(LifecycleError):
    """The tenant has as many members and open invitations as its plan allows."""


class NotInvited(LifecycleError):
    """The invitation was accepted, revoked, has lapsed, or is for somebody else."""


class TooManyKeys(LifecycleError):
    """The workspace has as many keys for programs as one may have."""


class NoSuchKey(LifecycleError):
    """The workspace has no such key, or has it no more."""


class OwnsTenant(LifecycleError):
    """An owner keeps role and membership. Call `lifecycle.transfer` first."""


class IsolationError(Exception):
    """The isolation proof can't be made as it was asked for."""


def one_line(error: BaseException) -> str:
    """Return the error as one line, to be quoted in another message.

    A message that was written for people stands alone. Other errors begin with their type and keep
    only their first line, because PostgreSQL quotes the statement in the next ones.
    """
    if isinstance(error, (LifecycleError, DumpFailed, NoBlueprint, IsolationError, CommandError)):
        return " ".join(str(error).split())
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def sqlstate_of(error: BaseException) -> str:
    """Return the code of the driver's error, which Django's has as its cause."""
    cause = error.__cause__ or error
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or ""
