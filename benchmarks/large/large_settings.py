"""The settings of the benchmark for our project, with an app of sixty models more."""

from ours_settings import *  # noqa: F403

TENANT_APPS = [*TENANT_APPS, "catalog"]  # noqa: F405
INSTALLED_APPS = [*INSTALLED_APPS, "catalog"]  # noqa: F405
