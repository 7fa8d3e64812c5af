"""What the project tells the proof."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from django.apps import apps
from django.db import connection
from django.utils import timezone

from tenancy import hosts, roles
from tenancy.concrete import Tenant, User
from tenancy.exceptions import IsolationError
from tenancy.models import ApiKey, Archive, DataJob, DomainClaim, Invitation
from tenancy.testing.isolation.api_keys import api_key
from tenancy.testing.isolation.bodies import AUTHENTICATIONS
from tenancy.testing.isolation.observed import basic


def changelist(model) -> str:
    """Return the name of the page in the main website's admin that lists the model."""
    return f"public:admin:{model._meta.app_label}_{model._meta.model_name}_changelist"


# Of the engine's pages, what has no effect in the state that the proof makes.
KNOWN = {
    changelist(Tenant).replace("changelist", "add"): "Making a tenant commits.",
    "POST " + changelist(Tenant).replace("changelist", "ask"): "It needs a second factor.",
    "POST support-leave": "It ends an operator's own session.",
    **{
        f"POST {action} {changelist(Tenant)}": "It is for tenants in another state."
        for action in ("resume", "undelete", "purge", "finish", "abandon")
    },
    **{
        f"POST {action} {changelist(User)}": "It is for people who were deactivated."
        for action in ("reactivate", "anonymise")
    },
    "POST public:account_signup": "It makes a person, who is in no tenant yet.",
    "POST public:account_change_password": "It asks for the person's password.",
    "POST public:account-leave": "It ends the person's own membership.",
    "POST public:account-sessions": "It ends the person's own sessions.",
    "POST public:usersessions_list": "It ends the person's own sessions.",
    "POST public:workspace-new": "Making a tenant commits.",
    "POST public:workspaces-bring-back": "It is for tenants that were deleted.",
    "POST workspace-delete": "It asks for the tenant's name.",
    "POST workspace-export-download": "It removes the file that it sends.",
    "public:workspace-progress": "It is for tenants that are being made, of which there are none.",
    "POST workspace-domain-check": "It asks the DNS.",
    "public:invitation": "It needs the token of an e-mail.",
    "public:hand-over": "It needs what a workspace sends along.",
    "public:outbox": "Only development has it.",
}


def invitation(canary: str) -> Invitation:
    """Return an invitation to the current tenant that can be accepted."""
    tenant, now = connection.tenant, timezone.now()
    return Invitation(
        tenant=tenant,
        email=f"{canary}@example.com",
        role=roles.MEMBER,
        invited_by=tenant.owner,
        token=canary,
        sent=now,
        expires=now + timedelta(days=7),
    )


def invitation_keys(member) -> list[dict]:
    return [{"pk": row.pk} for row in Invitation.objects.filter(tenant=connection.tenant)]


def api_key_keys(member) -> list[dict]:
    return [{"pk": row.pk} for row in ApiKey.objects.filter(tenant=connection.tenant)]


def archive(canary: str) -> Archive:
    """Return an archive of the current tenant, without its file."""
    return Archive(
        tenant=connection.tenant, slug=canary, by=canary, file=f"{canary}.zip", digest=canary
    )


def archive_keys(member) -> list[dict]:
    return [{"pk": row.pk} for row in Archive.objects.filter(tenant=connection.tenant)]


def data_job(canary: str) -> DataJob:
    """Return a failed job of the current tenant."""
    tenant, now = connection.tenant, timezone.now()
    kind = DataJob.Kind.EXPORT
    return DataJob(tenant=tenant, user=tenant.owner, kind=kind, ended=now, failure=canary)


def data_job_keys(member) -> list[dict]:
    return [{"pk": row.pk} for row in DataJob.objects.filter(tenant=connection.tenant)]


def claim(canary: str) -> DomainClaim:
    """Return a claim of a host by the current tenant."""
    host = f"{canary}.example.org".lower()
    return DomainClaim(tenant=connection.tenant, host=host, label="_challenge", token=canary)


def claim_keys(member) -> list[dict]:
    return [{"pk": row.pk} for row in DomainClaim.objects.filter(tenant=connection.tenant)]


FACTORIES = {
    ApiKey: api_key,
    Archive: archive,
    DataJob: data_job,
    DomainClaim: claim,
    Invitation: invitation,
}
ARGUMENTS = {
    "workspace-export-download": data_job_keys,
    "workspace-invitation": invitation_keys,
    "workspace-restore": archive_keys,
    "workspace-revoke-key": api_key_keys,
    "workspace-domain-check": claim_keys,
    "workspace-domain-remove": claim_keys,
}
DATA = {
    "workspace-people": [{"emails": "invited@example.com", "role": roles.MEMBER}],
    "workspace-new-key": [{"name": "backup", "role": roles.MEMBER, "days": 30}],
    "workspace-new-domain": [{"host": "claimed.example.org"}],
    "workspace-domain-primary": [{"host": hosts.host_of("first")}],
    "workspace-settings-address": [{"address": "moved"}],
}

if apps.is_installed("allauth.mfa"):
    from tenancy.testing.isolation import mfa

    KNOWN |= mfa.KNOWN
    FACTORIES |= mfa.FACTORIES
    ARGUMENTS |= mfa.ARGUMENTS


@dataclass
class Hooks:
    """Arguments of `isolation.prove()`. A page is named by its route or by its URL's name.

    The routes are printed by the report, such as `notes/<int:pk>/`. Those of the main website begin
    with `public:`.
    """

    # By the model: a function that is called with a canary, inside a tenant, and makes a row.
    factories: dict[type, Callable] = field(default_factory=dict)
    # By the page: a function that is called with a member inside each tenant, and returns
    # a list of dictionaries.
    arguments: dict[str, Callable] = field(default_factory=dict)
    # By the page: what to send, as dictionaries: a form, or {"json": …}.
    data: dict[str, Iterable] = field(default_factory=dict)
    # By the page: why people who are no members may read rows there.
    open_to_all: dict[str, str] = field(default_factory=dict)
    # By the page, or by a method and the page (`POST webhook/`): why it isn't tried.
    except_for: dict[str, str] = field(default_factory=dict)
    # The pages to walk, instead of all: for a quick look at one of them.
    only: Iterable[str] = ()
    # By a name: a function that is called with a user and returns the headers of a request.
    authentications: dict[str, Callable] = field(default_factory=dict)

    def __post_init__(self):
        self.named = {*self.only, *self.open_to_all, *self.arguments, *self.data}
        self.named |= {key.rpartition(" ")[2] for key in self.except_for}
        self.except_for = KNOWN | self.except_for
        self.factories = FACTORIES | self.factories
        self.arguments = ARGUMENTS | self.arguments
        self.data = DATA | self.data
        self.authentications = {"Basic": basic, **AUTHENTICATIONS, **self.authentications}

    def check(self, known: Iterable[str]) -> None:
        """Raise IsolationError if a hook is for a page that isn't there."""
        if unknown := sorted(self.named.difference(known)):
            raise IsolationError(f"No page has the route or the name {', '.join(unknown)}.")

    def excuse(self, names: Iterable[str]) -> str:
        return next((self.except_for[name] for name in names if name in self.except_for), "")

    def is_open(self, names: Iterable[str]) -> bool:
        return any(name in self.open_to_all for name in names)
