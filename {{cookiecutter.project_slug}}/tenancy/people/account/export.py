"""What the main website knows about a person, for the person."""

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.utils.encoding import is_protected_type

from tenancy.concrete import Tenant, User, editable_fields
from tenancy.factors import set_up_by
from tenancy.models import (
    ApiKey,
    Archive,
    DataJob,
    Invitation,
    LastSeen,
    SupportGrant,
    TenantEvent,
)
from tenancy.people.failed import find as find_failed
from tenancy.people.members import role_of
from tenancy.people.social.connections import connections_of

PROFILE = ("username", "name", "email", "language", "time_zone", "last_login")


def data_of(user: User) -> dict:
    """Return the person's data as lists and dicts, without passwords, tokens and session keys."""
    workspaces = Tenant.objects.filter(user_set=user).exclude(schema_name="public")
    changes = TenantEvent.objects.filter(username=user.username)
    confirmed = EmailAddress.objects.filter(user=user, verified=True).values("email")
    invitations = Invitation.objects.filter(email__in=confirmed)
    keys = ApiKey.objects.filter(user=user)
    failed = find_failed(user)
    seen = dict(LastSeen.objects.filter(user=user).values_list("tenant", "at"))
    return {
        "profile": {name: value_of(user, name) for name in (*PROFILE, *editable_fields(User))},
        "addresses": [
            *EmailAddress.objects.filter(user=user).values("email", "verified", "primary")
        ],
        "connections": [
            {
                "provider": row.provider,
                "email": row.extra_data.get("email"),
                "since": row.date_joined,
            }
            for row in connections_of(user)
        ],
        "second_factors": set_up_by(user),
        "sessions": [
            *UserSession.objects.filter(user=user).values("created_at", "ip", "user_agent")
        ],
        "failed_sign_ins": failed and failed._asdict(),
        "workspaces": [
            {
                "name": tenant.name,
                "address": tenant.slug,
                "role": role_of(tenant, user),
                "last_seen": seen.get(tenant.pk),
            }
            for tenant in workspaces
        ],
        "keys": [*keys.values("tenant__name", "name", "role", "created", "expires", "used")],
        "invitations": [
            *invitations.values("tenant__name", "email", "role", "sent", "accepted", "revoked")
        ],
        "data_jobs": [
            *DataJob.objects.filter(user=user).values(
                "tenant__name", "kind", "asked", "ended", "name", "downloaded"
            )
        ],
        "backups": [*Archive.objects.filter(by=user.username).values("slug", "made", "size")],
        "support_allowed": [
            *SupportGrant.objects.filter(allowed_by=user).values(
                "tenant__name", "may_write", "created", "expires", "ended"
            )
        ],
        "changes": [*changes.values("at", "action", "slug", "before", "after")],
    }


def value_of(user: User, name: str):
    """Return a field's value for JSON: a text for what JSON lacks, such as a file's name."""
    field = user._meta.get_field(name)
    value = field.value_from_object(user)
    return value if is_protected_type(value) else field.value_to_string(user)
