"""The public host's admin of people."""

from importlib import import_module

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.utils.translation import gettext_lazy as _
from tenant_users.permissions.models import UserTenantPermissions

from tenancy.admin.actions import USER_ACTIONS
from tenancy.admin.base import never
from tenancy.concrete import User, editable_fields

# django-allauth's rows follow the person's: who changes them there changes who gets in.
ALLAUTH = ("account", "mfa", "socialaccount", "usersessions")
for module in (f"allauth.{name}.admin" for name in ALLAUTH if apps.is_installed(f"allauth.{name}")):
    for hidden in vars(import_module(module)).values():
        if isinstance(hidden, type) and issubclass(hidden, admin.ModelAdmin):
            hidden.only_at = ()


class UserCreationForm(AdminUserCreationForm):
    class Meta:
        model = User
        fields = ["username", "email"]


class RightsInline(admin.StackedInline):
    model = UserTenantPermissions
    fields = ["is_staff", "is_superuser", "groups", "user_permissions"]
    filter_horizontal = ["groups", "user_permissions"]
    verbose_name = verbose_name_plural = _("rights on the public site")
    can_delete = False
    extra = 0


class UserAdmin(DjangoUserAdmin):
    """People are deactivated by an action, never deleted: what they wrote stays theirs."""

    actions = USER_ACTIONS
    list_display = ["username", "email", "is_active", "last_login"]
    list_filter = ["is_active"]
    search_fields = ["username", "email"]
    ordering = ["username"]
    readonly_fields = ["is_active", "tenants"]  # functions change them, which end sessions and log
    filter_horizontal = []
    add_form = UserCreationForm
    add_fieldsets = [
        (None, {"fields": ["username", "email", "usable_password", "password1", "password2"]})
    ]
    has_delete_permission = never

    def get_fieldsets(self, request, obj=None):
        if obj is None:
            return self.add_fieldsets
        fields = ["username", "email", "name", "password", "is_active", "tenants"]
        return [(None, {"fields": fields + editable_fields(User)})]

    def get_inlines(self, request, obj):
        return [RightsInline] if obj else []

    def save_model(self, request, obj, form, change):
        if not change:
            obj.is_verified = obj.has_usable_password()  # as `create_user` does
        super().save_model(request, obj, form, change)
        if not change:
            request.tenant.add_user(obj)
