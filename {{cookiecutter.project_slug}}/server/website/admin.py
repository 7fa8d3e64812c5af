"""The main website's admin. A tenant's host has `django.contrib.admin.site`.

Each shows the models that are at its hosts, wherever they are registered.
"""

from server.tenants.models import Domain, Organization, Tenant
from server.users.models import User
from tenancy.admin.tenants import DomainAdmin, OrganizationAdmin, TenantAdmin, TenantEventAdmin
from tenancy.admin.users import UserAdmin
from tenancy.isolation.admin_site import PublicSite
from tenancy.models import TenantEvent

public_site = PublicSite()
public_site.register(Organization, OrganizationAdmin)
public_site.register(Tenant, TenantAdmin)
public_site.register(Domain, DomainAdmin)
public_site.register(TenantEvent, TenantEventAdmin)
public_site.register(User, UserAdmin)
