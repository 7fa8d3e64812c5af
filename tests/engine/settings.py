"""The settings of the project's tests, with an app of geometries."""

from tests.settings import *  # noqa: F403

PROJECT_NAME = "Main Site"
TENANT_GRACE_DAYS = 30
ADMIN_USERNAME, ADMIN_EMAIL = "admin", "admin@localhost"

if "server.places" in TENANT_APPS:  # noqa: F405
    TENANT_APPS += ["engine.shapes"]  # noqa: F405
    INSTALLED_APPS += ["engine.shapes"]  # noqa: F405

# A library's shared app and one of the tenants.
SHARED_APPS += ["engine.market", "django.contrib.sites"]  # noqa: F405
TENANT_APPS += ["engine.orders"]
INSTALLED_APPS += ["engine.market", "django.contrib.sites", "engine.orders"]
SITE_ID = 1
