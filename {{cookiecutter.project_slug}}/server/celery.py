"""The Celery app: `celery -A server worker`. A task runs in the tenant that sent it."""

import os

from django.conf import settings

from tenancy.background.app import CeleryApp as TenantAwareCeleryApp

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "server.settings")

app = TenantAwareCeleryApp("server")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(lambda: settings.INSTALLED_APPS)
