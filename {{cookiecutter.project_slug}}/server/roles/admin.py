from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group

from server.roles.models import Role

admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin):
    """The roles' groups stay, under their names; what they may is the tenant's to say."""

    def get_readonly_fields(self, request, obj=None):
        return ["name"] if is_of_role(obj) else []

    def has_delete_permission(self, request, obj=None):
        return super().has_delete_permission(request, obj) and not is_of_role(obj)


def is_of_role(group: Group | None) -> bool:
    return group is not None and group.name in Role.values
