"""What tests ask about members."""

from tenancy.models import TenantEvent
from tenancy.people.members import list_members


def roles_of(tenant) -> dict[str, str]:
    """The role of each member, by user name."""
    return {user.username: str(role) for user, role, _ in list_members(tenant)}


def log() -> list[tuple]:
    """The log's entries since the tenants were made, the oldest first."""
    changes = TenantEvent.objects.exclude(action="provision").order_by("pk")
    return [
        (row.by, row.action, row.username, row.slug, row.before, row.after) for row in changes.all()
    ]
