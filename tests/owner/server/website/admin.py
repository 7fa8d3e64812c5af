# What the owner changes

from django.contrib import admin

public_site.unregister(Tenant)


@admin.register(Tenant, site=public_site)
class OwnTenantAdmin(TenantAdmin):
    list_display = [*TenantAdmin.list_display, "plan"]
    list_filter = [*TenantAdmin.list_filter, "plan"]
