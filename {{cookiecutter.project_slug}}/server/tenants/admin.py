"""How the public site's administrators see tenants. Nothing here can delete a tenant's data."""

from django.contrib import admin


class OrganizationAdmin(admin.ModelAdmin):
    list_display = ["name", "created"]
    search_fields = ["name"]


class TenantAdmin(admin.ModelAdmin):
    """Names only: a tenant is made, moved and removed by `server.tenants.lifecycle`."""

    list_display = ["name", "slug", "organization", "owner", "status", "created"]
    list_filter = ["status"]
    list_select_related = ["organization", "owner"]
    search_fields = ["name", "slug", "domains__domain", "owner__username", "owner__email"]
    fields = ["name", "organization", "slug", "schema_name", "owner", "status", "created"]
    readonly_fields = ["slug", "schema_name", "owner", "status", "created"]
    autocomplete_fields = ["organization"]

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class DomainAdmin(admin.ModelAdmin):
    list_display = ["domain", "tenant", "is_primary"]
    list_select_related = ["tenant"]
    search_fields = ["domain", "tenant__name"]
    autocomplete_fields = ["tenant"]
    actions = None  # one at a time: a tenant without a domain can't be reached

    def has_delete_permission(self, request, obj=None):
        return obj is not None and not obj.is_primary
