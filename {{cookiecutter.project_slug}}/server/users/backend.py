from django.contrib.auth import get_user_model
from django.db import connection, router
from tenant_users.constants import TENANT_CACHE_NAME
from tenant_users.permissions import backend
from tenant_users.permissions.models import UserTenantPermissions

ROW = "usertenantpermissions"


class UserBackend(backend.UserBackend):
    """Loads a person and their rights in the current tenant in one query."""

    def get_user(self, user_id):
        people = get_user_model()._default_manager.select_related(ROW)
        user = people.filter(pk=user_id).first()
        if user is None or not self.user_can_authenticate(user):
            return None
        # Where it was, another tenant would find it as well.
        rights = user._state.fields_cache.pop(ROW)
        if rights:
            rights._state.db = router.db_for_read(UserTenantPermissions)
        setattr(user, TENANT_CACHE_NAME, {connection.schema_name: {"membership": rights}})
        return user
