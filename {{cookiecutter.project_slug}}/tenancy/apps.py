from django.apps import AppConfig
from django.contrib.admin import apps as admin
from django.core.signals import request_finished
from django.db import DEFAULT_DB_ALIAS, connections


class TenancyConfig(AppConfig):
    name = "tenancy"

    def ready(self):
        from tenant_users.tenants import tasks

        from tenancy.health import checks  # noqa: F401 (registered by the import)
        from tenancy.lifecycle import provision_tenant

        # The library's own makes no organization, and its transaction would lock the users' table.
        tasks.provision_tenant = provision_tenant
        # A connection outlives its request.
        request_finished.connect(leave_tenant, dispatch_uid="leave_tenant")


class TenantAdminConfig(admin.AdminConfig):
    """`django.contrib.admin` whose default site is a tenant's."""

    default = False
    default_site = "tenancy.isolation.admin_site.TenantSite"


def leave_tenant(**kwargs):
    connections[DEFAULT_DB_ALIAS].leave_tenant()
