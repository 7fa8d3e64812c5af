from importlib import import_module
from importlib.util import find_spec

from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin
from django.core.checks import CheckMessage, Tags
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.signals import class_prepared
from django.utils.translation import gettext_lazy as _

from tenancy import masking
from tenancy.exceptions import MissingRequirement
from tenancy.health import lazy, requirements
from tenancy.isolation import logs
from tenancy.isolation.storage import share_files
from tenancy.requests.reading import Request


class TenancyConfig(AppConfig):
    name = "tenancy"
    verbose_name = _("Workspace")

    def __init__(self, *args):
        super().__init__(*args)
        # Without these, models and imports fail before `manage.py check` can name them.
        if missing := [*filter(CheckMessage.is_serious, requirements.missing_at_start())]:
            lines = (f"{message.msg} {message.hint}" for message in missing)
            raise MissingRequirement("\n".join(lines))
        class_prepared.connect(share_files, dispatch_uid="share_files")  # before there are models

    def ready(self):
        from tenant_users.tenants import tasks

        from tenancy.factors import APP
        from tenancy.isolation import deletion, router
        from tenancy.lifecycle import provision_tenant
        from tenancy.people import failed  # noqa: F401 (the import connects its receiver)
        from tenancy.people.account import receivers  # noqa: F401 (the import connects them)

        lazy.install("tenancy.health.checks", Tags.database, "tenants")
        lazy.install("tenancy.health.apis", "tenants")
        masking.install()
        router.install()
        deletion.install()
        # The library's makes no organization, and its transaction would lock the users' table.
        tasks.provision_tenant = provision_tenant
        if apps.is_installed(APP):
            import_module("tenancy.people.mfa.receivers")
        if find_spec("rest_framework_simplejwt"):
            import_module("tenancy.isolation.jwt").install()
        # The connection stays open after the request.
        request_finished.connect(leave_tenant, dispatch_uid="leave_tenant")
        WSGIHandler.request_class = Request


class TenantAdminConfig(admin.AdminConfig):
    """`django.contrib.admin` with a default site for tenants' hosts."""

    default = False
    default_site = "tenancy.isolation.admin_site.TenantSite"


def leave_tenant(**kwargs):
    logs.request_id.set("")
    logs.current_request.set(None)
    connections[DEFAULT_DB_ALIAS].leave_tenant()
