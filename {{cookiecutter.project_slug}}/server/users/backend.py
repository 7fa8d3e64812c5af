from django.contrib.auth import get_user_model
from django.db import connection, router
from tenant_users.constants import TENANT_CACHE_NAME
from tenant_users.permissions import backend
from tenant_users.permissions.models import UserTenantPermissions as Rights

User = get_user_model()
FIELDS = [field.attname for field in Rights._meta.concrete_fields]
COLUMNS = [connection.ops.quote_name(field.column) for field in User._meta.concrete_fields]

# Written out: to put a query together takes Django longer than to carry out this one. Not `*`,
# which brings the columns of a newer release as well, migrated but not started.
QUERY = f"""
SELECT {", ".join(f"person.{column}" for column in COLUMNS)},
    {", ".join(f"rights.{field} AS rights_{field}" for field in FIELDS)}
FROM {User._meta.db_table} person
LEFT JOIN {Rights._meta.db_table} rights ON rights.profile_id = person.id
WHERE person.id = %s
"""  # noqa: S608


class UserBackend(backend.UserBackend):
    """Loads a person and their rights in the current tenant in one query."""

    def get_user(self, user_id):
        for user in User.objects.raw(QUERY, [user_id]):
            row = {field: vars(user).pop(f"rights_{field}") for field in FIELDS}
            if self.user_can_authenticate(user):
                remember(user, row if row["id"] else None)
                return user
        return None


def remember(user, row: dict | None) -> None:
    """Put the user's rights, or that there are none, where the current tenant finds them."""
    rights = row and Rights.from_db(router.db_for_read(Rights), list(row), row.values())
    if rights:
        # Not `rights.profile = user`: by that the user would take the row to other tenants.
        rights._state.fields_cache["profile"] = user
    setattr(user, TENANT_CACHE_NAME, {connection.schema_name: {"membership": rights}})
