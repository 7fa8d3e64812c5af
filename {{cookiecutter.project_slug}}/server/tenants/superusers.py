"""Who may do everything in a tenant."""

from tenant_users.permissions.models import UserTenantPermissions

from server.tenants.models import Tenant
from server.tenants.moves import moving
from server.tenants.provisioning import find_owner


def add_superuser(tenant: Tenant, username: str, by: str) -> str:
    """Make the user, by name or e-mail, a superuser in the tenant, and a member if need be.

    Returns who it is. Raises UnknownUser and IllegalMove.
    """
    with moving("add superuser", tenant, by) as (row, change):
        user = find_owner(username)
        change.before, change.after = "", str(user)
        if not row.user_set.filter(pk=user.pk).exists():
            row.add_user(user)
        with row:
            rights = UserTenantPermissions.objects.filter(profile_id=user.pk)
            rights.update(is_superuser=True, is_staff=True)
        return str(user)
