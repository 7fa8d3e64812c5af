"""What tests ask about members."""

from server.tenants.members import list_members
from server.tenants.models import TenantChange


def roles(tenant) -> dict[str, str]:
    """The role of each member, by user name."""
    return {user.username: str(role) for user, role, _ in list_members(tenant)}


def log() -> list[tuple]:
    """What was written down since the tenants were made, the oldest first."""
    changes = TenantChange.objects.exclude(move="provision").order_by("pk")
    return [
        (row.by, row.move, row.username, row.slug, row.before, row.after) for row in changes.all()
    ]
