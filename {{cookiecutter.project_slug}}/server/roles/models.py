"""What a member may do in a tenant, and the group that goes with it there."""

from django.db import connection, models
from tenant_users.permissions.models import UserTenantPermissions


class Role(models.TextChoices):
    """Owner and admin may do everything in their tenant; a member what their groups may."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


class Member(UserTenantPermissions):
    """A person in the current tenant."""

    class Meta:
        proxy = True
        default_permissions = ()  # who is an owner or admin may see and change members
        ordering = ["profile__username"]
        verbose_name = "member"


PUT_INTO_GROUP = """
    WITH removed AS (
        DELETE FROM permissions_usertenantpermissions_groups
        USING permissions_usertenantpermissions rights, auth_group
        WHERE usertenantpermissions_id = rights.id AND group_id = auth_group.id
            AND profile_id = %(user_id)s AND name = ANY(%(roles)s) AND name <> %(role)s
    )
    INSERT INTO permissions_usertenantpermissions_groups (usertenantpermissions_id, group_id)
    SELECT rights.id, auth_group.id FROM permissions_usertenantpermissions rights, auth_group
    WHERE profile_id = %(user_id)s AND name = %(role)s
    ON CONFLICT DO NOTHING
"""


def put_into_group(user_id: int, role: str) -> None:
    """Of the roles' groups in the current tenant the member is in this one; others stay.

    In the public schema, where the main website's people are, there are none.
    """
    with connection.cursor() as cursor:
        parameters = {"user_id": user_id, "role": str(role), "roles": Role.values}
        cursor.execute(PUT_INTO_GROUP, parameters)
