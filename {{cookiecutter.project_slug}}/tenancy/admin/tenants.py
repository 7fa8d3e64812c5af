"""The public host's admin of tenants, their domains, their customers, and the log.

Every change goes through `tenancy.lifecycle`, which refuses and logs.
"""

from django.contrib import admin

from tenancy import lifecycle
from tenancy.admin.base import LifecycleAdmin
from tenancy.admin.new_tenant import NewTenant
from tenancy.admin.transitions import ACTIONS
from tenancy.concrete import Domain, Tenant, editable_fields


class OrganizationAdmin(admin.ModelAdmin):
    list_display = ["name", "created"]
    search_fields = ["name"]


class TenantAdmin(NewTenant, LifecycleAdmin):
    """Name, organization and the project's own fields are edited here. Actions do the rest."""

    actions = ACTIONS

    list_display = ["name", "slug", "organization", "owner", "status", "created"]
    list_filter = ["status"]
    list_select_related = ["organization", "owner"]
    search_fields = ["name", "slug", "domains__domain", "owner__username", "owner__email"]
    fields = ["name", "organization", "slug", "schema_name", "owner", "status", "created"]
    readonly_fields = ["slug", "schema_name", "owner", "status", "created", "progress"]
    autocomplete_fields = ["organization"]

    def get_fields(self, request, obj=None):
        own = editable_fields(Tenant)
        is_being_made = obj is not None and obj.status == Tenant.Status.PROVISIONING
        return [*self.fields, *own, *["progress"] * is_being_made]

    def get_queryset(self, request):
        return Tenant.all_objects.order_by("slug")

    def save_model(self, request, obj, form, change):
        own = ["name", "organization", *editable_fields(Tenant)]
        values = {name: getattr(obj, name) for name in form.changed_data if name in own}
        lifecycle.change(obj, request.user.username, **values)

    def has_delete_permission(self, request, obj=None):
        return False


class TenantEventAdmin(admin.ModelAdmin):
    """The log, to read."""

    list_display = ["at", "by", "action", "username", "slug", "before", "after"]
    list_filter = ["action"]
    search_fields = ["slug", "schema_name", "by", "username"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class DomainAdmin(LifecycleAdmin):
    """Further hosts are added and removed. The primary one stays: it leads to the tenant."""

    list_display = ["domain", "tenant", "is_primary", "redirects"]
    list_select_related = ["tenant"]
    search_fields = ["domain", "tenant__name"]
    fields = ["domain", "tenant"]
    autocomplete_fields = ["tenant"]

    def get_fields(self, request, obj=None):
        return [*self.fields, *editable_fields(Domain)]

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return obj is not None and not obj.is_primary

    def save_model(self, request, obj, form, change):
        own = {name: getattr(obj, name) for name in editable_fields(Domain)}
        host = lifecycle.add_domain(obj.tenant, obj.domain, request.user.username, **own)
        obj.pk = obj.tenant.domains.get(domain=host).pk

    def delete_model(self, request, obj):
        lifecycle.remove_domain(obj.tenant, obj.domain, request.user.username)
