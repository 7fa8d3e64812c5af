"""The roles of a tenant's members, as the setting TENANCY_ROLES defines them.

    TENANCY_ROLES = {
        "admin": {"label": "Admin", "is_staff": True, "is_superuser": True},
        "billing": {"label": "Billing", "permissions": ["invoices.view_invoice"]},
        "member": {"label": "Member"},
    }

`is_staff` opens the tenant's admin, `is_superuser` gives every right in the tenant, `permissions`
gives single ones. The setting must have `admin` and `member`. The role `owner` is not in it: a
tenant has one owner, who has every right.

A member's role is a group of its name in the tenant's schema, so that a tenant's admins can give a
role further permissions of their own. A role that is not in the setting gives no rights.
"""

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import OuterRef, Q, Subquery
from django_tenants.utils import get_public_schema_name
from tenant_users.permissions.models import UserTenantPermissions

OWNER, ADMIN, MEMBER = "owner", "admin", "member"
EVERYTHING = {"label": "Owner", "is_staff": True, "is_superuser": True}
KEYS = {"label", "is_staff", "is_superuser", "permissions"}

Membership = UserTenantPermissions.groups.through
ROWS = {
    "groups": Group._meta.db_table,
    "memberships": Membership._meta.db_table,
    "rights": UserTenantPermissions._meta.db_table,
}
MAKE_GROUPS = """
    INSERT INTO {groups} (name) SELECT unnest(%s::text[]) ON CONFLICT (name) DO NOTHING
""".format(**ROWS)
MOVE_INTO_GROUP = """
    WITH removed AS (
        DELETE FROM {memberships} USING {rights} rights, {groups} role
        WHERE usertenantpermissions_id = rights.id AND group_id = role.id
            AND profile_id = %(user_id)s AND name = ANY(%(roles)s) AND name <> %(role)s
    )
    INSERT INTO {memberships} (usertenantpermissions_id, group_id)
    SELECT rights.id, role.id FROM {rights} rights, {groups} role
    WHERE profile_id = %(user_id)s AND name = %(role)s
    ON CONFLICT DO NOTHING
""".format(**ROWS)  # noqa: S608
# The role of the row `rights`, for the query that loads a person.
ROLE_NAME = """(
    SELECT name FROM {groups} JOIN {memberships} ON group_id = {groups}.id
    WHERE usertenantpermissions_id = rights.id AND name = ANY(%s) LIMIT 1
)""".format(**ROWS)  # noqa: S608


def all_roles() -> dict[str, dict]:
    """Return each role's definition by its name, the owner's first."""
    return {OWNER: EVERYTHING, **settings.TENANCY_ROLES}


def assignable_roles() -> dict[str, str]:
    """Return the label by the name of each role that a member can be given."""
    return {name: role.get("label", name.title()) for name, role in settings.TENANCY_ROLES.items()}


def flags(role: str | None) -> dict[str, bool]:
    """Return `is_staff` and `is_superuser` of a role; both False for one that is unknown."""
    definition = all_roles().get(role, {})
    return {name: bool(definition.get(name)) for name in ("is_staff", "is_superuser")}


def assign_role(user_id: int, role: str) -> None:
    """Put a member of the current tenant into the group of `role`, and out of other roles' groups.

    Nothing happens in the public schema: the main website has no roles.
    """
    if connection.schema_name == get_public_schema_name():
        return
    names = [*all_roles()]
    with connection.cursor() as cursor:
        cursor.execute(MAKE_GROUPS, [names])
        cursor.execute(MOVE_INTO_GROUP, {"user_id": user_id, "role": role, "roles": names})


def role_name() -> Subquery:
    """An annotation for UserTenantPermissions: the name of the role, None for an unknown one."""
    rows = Membership.objects.filter(
        usertenantpermissions_id=OuterRef("pk"), group__name__in=[*all_roles()]
    )
    return Subquery(rows.values("group__name")[:1])


def restrict(rights: UserTenantPermissions, role: str | None) -> UserTenantPermissions:
    """Note the role on a member's row, and give the row the flags that the role has by now.

    The row of the database has the flags of the time when the role was given; the setting may have
    changed since. A single member may have `is_staff` besides.
    """
    rights.role = role
    if connection.schema_name != get_public_schema_name():
        granted = flags(role)
        rights.is_superuser = granted["is_superuser"]
        rights.is_staff = granted["is_staff"] or (rights.is_staff and role is not None)
    return rights


def permissions_of(role: str | None) -> Q:
    """A filter for the permissions that the setting gives to a role."""
    granted = Q(pk__in=())
    for name in all_roles().get(role, {}).get("permissions", ()):
        app_label, _, codename = name.partition(".")
        granted |= Q(content_type__app_label=app_label, codename=codename)
    return granted
