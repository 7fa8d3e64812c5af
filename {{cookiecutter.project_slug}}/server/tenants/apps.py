from django.apps import AppConfig
from django.contrib.admin import apps as admin
from django.core.signals import request_finished
from django.db import DEFAULT_DB_ALIAS, connections


class TenantsConfig(AppConfig):
    name = "server.tenants"

    def ready(self):
        from server.tenants import checks, receivers  # noqa: F401 (registered by the import)

        # A connection outlives its request.
        request_finished.connect(leave_tenant, dispatch_uid="leave_tenant")


class TenantAdminConfig(admin.AdminConfig):
    default = False
    default_site = "server.tenants.admin.TenantSite"


def leave_tenant(**kwargs):
    connections[DEFAULT_DB_ALIAS].leave_tenant()
