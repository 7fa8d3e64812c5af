"""The Celery app, whose tasks run in the tenant that sent them: `celery -A server worker`."""

import os

from django.conf import settings

from tenancy.background.app import CeleryApp as TenantAwareCeleryApp

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "server.settings")

app = TenantAwareCeleryApp("server")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(lambda: settings.INSTALLED_APPS)
