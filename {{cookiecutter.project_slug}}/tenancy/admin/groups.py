from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group

from tenancy import roles


class GroupAdmin(DjangoGroupAdmin):
    """The group of a role keeps its name. A tenant's admins may change its permissions."""

    def get_readonly_fields(self, request, obj=None):
        return ["name"] if is_of_role(obj) else []

    def has_delete_permission(self, request, obj=None):
        return super().has_delete_permission(request, obj) and not is_of_role(obj)


def is_of_role(group: Group | None) -> bool:
    return group is not None and group.name in roles.all_roles()
