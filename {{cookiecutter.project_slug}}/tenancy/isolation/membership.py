"""What a person may in a tenant. Whatever identifies people asks here."""

from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Model
from django.utils.functional import LazyObject
from django_tenants.utils import get_public_schema_name, tenant_context
from tenant_users.constants import TENANT_CACHE_NAME
from tenant_users.permissions.models import UserTenantPermissions

from tenancy import roles


@dataclass(frozen=True)
class Membership:
    """What a person may in a tenant.

    `role` is a key of TENANCY_ROLES, `owner`, or None. `rights` is the person's row in the tenant's
    schema. On the main website it is None for people without rights there. `support` is the grant
    by which an operator is in the tenant for this request; they have no row, and no role.
    """

    role: str | None
    rights: UserTenantPermissions | None
    support: Model | None = None


def membership_of(user, tenant) -> Membership | None:
    """Return what the person may in the tenant, or None for nobody.

    A tenant's members are somebody there. On the main website every person is. A deactivated person
    is nobody anywhere, like everything that isn't a row of the user model. The answer costs no
    query if `UserBackend` has loaded the person in the tenant. The person remembers it.
    """
    if not isinstance(user, get_user_model()) or not user.is_active_anywhere:
        return None
    if issubclass(type(user), LazyObject):
        user = user._wrapped  # request.user is a proxy
    memberships = vars(user).setdefault(TENANT_CACHE_NAME, {})
    known = memberships.setdefault(tenant.schema_name, {})
    if "membership" not in known:
        if "api_key" in vars(user):
            return None  # the person came by a key, which is of another workspace
        if tenant.schema_name == connection.schema_name:
            rights = find_rights(user)
        else:
            with tenant_context(tenant):
                rights = find_rights(user)
        remember(user, tenant.schema_name, rights)
    return known["membership"]


def find_rights(user) -> UserTenantPermissions | None:
    """Return the person's row in the current tenant, with the role."""
    rows = UserTenantPermissions.objects.filter(profile_id=user.pk)
    rights = rows.annotate(role=roles.role_name()).first()
    return rights and roles.restrict(rights, rights.role)


def remember(user, schema_name: str, rights: UserTenantPermissions | None) -> None:
    """Let `membership_of` answer from the person's row in the schema, None for none."""
    membership = None
    if rights:
        # `rights.profile = user` would set the reverse, and the user would take this row to other
        # tenants.
        rights._state.fields_cache["profile"] = user
        membership = Membership(rights.role, rights, getattr(rights, "support", None))
    elif schema_name == get_public_schema_name():
        membership = Membership(None, None)
    memberships = vars(user).setdefault(TENANT_CACHE_NAME, {})
    memberships.setdefault(schema_name, {})["membership"] = membership
