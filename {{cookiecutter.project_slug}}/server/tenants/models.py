"""Organizations (the customers), their tenants, and the hosts that lead to tenants.

Add fields here, then run `manage.py makemigrations`. `provision_tenant` accepts a new field of
Tenant as an argument, the admin shows it, and clones and backups keep it.
"""

from tenancy.models import AbstractDomain, AbstractOrganization, AbstractTenant


class Organization(AbstractOrganization):
    pass


class Tenant(AbstractTenant):
    pass


class Domain(AbstractDomain):
    pass
