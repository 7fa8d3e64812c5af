"""The public host's admin; a tenant's host has Django's own `admin.site`."""

from django.contrib.admin import AdminSite

from server.tenants.admin import DomainAdmin, OrganizationAdmin, TenantAdmin, TenantChangeAdmin
from server.tenants.admin_moves import USER_ACTIONS
from server.tenants.models import Domain, Organization, Tenant, TenantChange
from server.users.admin import UserAdmin
from server.users.models import User

public_site = AdminSite()
public_site.register(Organization, OrganizationAdmin)
public_site.register(Tenant, TenantAdmin)
public_site.register(Domain, DomainAdmin)
public_site.register(TenantChange, TenantChangeAdmin)
public_site.register(User, UserAdmin, actions=USER_ACTIONS)
