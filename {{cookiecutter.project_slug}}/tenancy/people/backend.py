from django.contrib.auth.models import Permission
from django.db import connection, router
from tenant_users.constants import TENANT_CACHE_NAME
from tenant_users.permissions import backend
from tenant_users.permissions.models import UserTenantPermissions as Rights

from tenancy import roles
from tenancy.concrete import User

FIELDS = [field.attname for field in Rights._meta.concrete_fields]
COLUMNS = [connection.ops.quote_name(field.column) for field in User._meta.concrete_fields]

# In SQL, because Django takes longer to build this query than PostgreSQL to run it. Not `*`,
# because a newer release may have added columns while this process still runs the old code.
QUERY = f"""
SELECT {", ".join(f"person.{column}" for column in COLUMNS)},
    {", ".join(f"rights.{field} AS rights_{field}" for field in FIELDS)},
    {roles.GROUP_NAMES} AS group_names
FROM {User._meta.db_table} person
LEFT JOIN {Rights._meta.db_table} rights ON rights.profile_id = person.id
WHERE person.id = %s
"""  # noqa: S608


class UserBackend(backend.UserBackend):
    """Loads a person, their rights and their role in the current tenant in one query."""

    def get_user(self, user_id):
        for user in User.objects.raw(QUERY, [user_id]):
            row = {field: vars(user).pop(f"rights_{field}") for field in FIELDS}
            role = roles.last_role(vars(user).pop("group_names"))
            if self.user_can_authenticate(user):
                rights = None
                if row["id"]:
                    rights = Rights.from_db(router.db_for_read(Rights), list(row), row.values())
                    roles.restrict(rights, role)
                    # `rights.profile = user` would set the reverse, and the user would take this
                    # row to other tenants.
                    rights._state.fields_cache["profile"] = user
                setattr(user, TENANT_CACHE_NAME, {connection.schema_name: {"membership": rights}})
                return user
        return None

    def _get_group_permissions(self, rights):
        # The tenant gives permissions to groups, the setting to roles.
        groups = super()._get_group_permissions(rights)
        role = getattr(rights, "role", None)
        return (groups | Permission.objects.filter(roles.permissions_of(role))).distinct()
