"""The roles of a tenant's members, as the setting TENANCY_ROLES defines them.

    TENANCY_ROLES = {
        "admin": {"label": "Admin", "is_staff": True, "is_superuser": True},
        "billing": {"label": "Billing", "permissions": ["invoices.view_invoice"]},
        "member": {"label": "Member", "description": "Writes notes."},
    }

`is_staff` opens the tenant's admin, `is_superuser` gives every right in the tenant, also to invite
and remove members, and `permissions` gives single ones. `description` says it in words. The setting
must have `admin` and `member`. The role `owner` is not in it: a tenant has one owner, who has every
right.

A member's role is a group of its name in the tenant's schema, so a tenant's admins can give a role
more permissions. A role that is not in the setting gives no rights.
"""

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import OuterRef, Q, Subquery
from django.utils.translation import gettext_lazy as _
from django_tenants.utils import get_public_schema_name
from tenant_users.permissions.models import UserTenantPermissions

OWNER, ADMIN, MEMBER, UNKNOWN = "owner", "admin", "member", "unknown"

GroupMembership = UserTenantPermissions.groups.through
# The groups of the row `rights`, in the query that loads a person; `last_role` reads them.
# PostgreSQL plans this in a third of the time that a join takes.
GROUP_NAMES = f"""ARRAY(
    SELECT (SELECT name FROM {Group._meta.db_table} WHERE id = group_id)
    FROM {GroupMembership._meta.db_table} WHERE usertenantpermissions_id = rights.id ORDER BY id
)"""  # noqa: S608


def all_roles() -> dict[str, dict]:
    """Return each role's definition by its name, the owner's first."""
    owner = {
        "label": _("Owner"),
        "description": _("May do everything. Each workspace has one owner."),
        "is_staff": True,
        "is_superuser": True,
    }
    return {OWNER: owner, **settings.TENANCY_ROLES}


def assignable_roles() -> dict[str, str]:
    """Return the label by the name of each role that a member can be given."""
    return {name: role.get("label", name.title()) for name, role in settings.TENANCY_ROLES.items()}


def may_manage_members(role: str | None) -> bool:
    """Return whether holders of the role invite and remove members and change their roles."""
    return flags(role)["is_superuser"]


def may_give(own: str | None, role: str) -> bool:
    """Return whether a holder of the role `own` may give the role to somebody.

    Who manages members has every right, so each role but the owner's is at most theirs.
    """
    return may_manage_members(own) and role in settings.TENANCY_ROLES


def describe(role: str) -> str:
    """Return in words what the role may."""
    definition = all_roles().get(role)
    if definition is None:
        return _("Has no rights.")
    if "description" in definition:
        return definition["description"]
    if definition.get("is_superuser"):
        return _("Manages people, settings and keys, and may do everything in the apps.")
    return _("May use the workspace.")


def flags(role: str | None) -> dict[str, bool]:
    """Return `is_staff` and `is_superuser` of a role; both False for an unknown one."""
    definition = all_roles().get(role, {})
    return {name: bool(definition.get(name)) for name in ("is_staff", "is_superuser")}


def assign_role(rights: UserTenantPermissions, role: str, *, is_new: bool = False) -> None:
    """Put a member of the current tenant into the group of `role`, and out of other roles' groups.

    A new member is in none. Do nothing in the public schema: the main website has no roles.
    """
    if connection.schema_name == get_public_schema_name():
        return
    groups = Group.objects.bulk_create(
        [Group(name=name) for name in all_roles()],
        update_conflicts=True,  # unlike ignore_conflicts, this returns the keys
        update_fields=["name"],
        unique_fields=["name"],
    )
    keys = {group.name: group.pk for group in groups}
    rights.groups.add(keys.pop(role))
    if not is_new:
        rights.groups.remove(*keys.values())


def role_name() -> Subquery:
    """Return an annotation for UserTenantPermissions: the role, or None for an unknown one.

    A person can be in the groups of two roles, if the setting lacked one when the other was given.
    The last one counts.
    """
    rows = GroupMembership.objects.filter(
        usertenantpermissions_id=OuterRef("pk"), group__name__in=all_roles()
    )
    return Subquery(rows.order_by("-pk").values("group__name")[:1])


def last_role(group_names: list[str]) -> str | None:
    """Return the same of the names that GROUP_NAMES gives."""
    known = all_roles()
    return next((name for name in reversed(group_names) if name in known), None)


def restrict(rights: UserTenantPermissions, role: str | None) -> UserTenantPermissions:
    """Set `role` on a member's row, and the flags that the role gives now.

    The stored flags date from the assignment, and the setting may have changed since.
    """
    rights.role = role
    if connection.schema_name != get_public_schema_name():
        vars(rights).update(flags(role))
    return rights


def permissions_of(role: str | None) -> Q:
    """Return a filter for the permissions that the setting gives to a role."""
    granted = Q(pk__in=())
    for name in all_roles().get(role, {}).get("permissions", ()):
        app_label, codename = name.split(".", 1)
        granted |= Q(content_type__app_label=app_label, codename=codename)
    return granted
