"""The settings of the project's tests, with an app of geometries."""

from tests.settings import *  # noqa: F403

PROJECT_NAME = "Main Site"
TENANT_GRACE_DAYS = 30
TENANCY_LIMITS = {}  # those of `test_seats.py` are its own
ADMIN_USERNAME, ADMIN_EMAIL = "admin", "admin@localhost"

MORE = ["engine.relations", "django_celery_results"]
TENANT_APPS += MORE  # noqa: F405
INSTALLED_APPS += MORE  # noqa: F405

if "server.places" in TENANT_APPS:
    TENANT_APPS += ["engine.shapes"]
    INSTALLED_APPS += ["engine.shapes"]

# A library's shared app and one of the tenants.
SHARED_APPS += ["engine.market", "django.contrib.sites"]  # noqa: F405
TENANT_APPS += ["engine.orders"]
INSTALLED_APPS += ["engine.market", "django.contrib.sites", "engine.orders"]
SITE_ID = 1
