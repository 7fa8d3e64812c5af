"""Settings of the three libraries that the engine doesn't honour, so that a check can refuse them.

The others are honoured: TENANT_MODEL, TENANT_DOMAIN_MODEL, SHARED_APPS, TENANT_APPS,
PUBLIC_SCHEMA_URLCONF, PG_EXTRA_SEARCH_PATHS, SKIP_PG_EXTRA_VALIDATION, ORIGINAL_BACKEND,
EXTRA_SET_TENANT_METHOD_PATH, TENANT_SYNC_ROUTER, TENANT_COLOR_ADMIN_APPS, TENANT_USERS_DOMAIN,
GET_EXECUTOR_FUNCTION, TENANT_BASE_MIGRATE_COMMAND. MULTITENANT_STATICFILES_DIRS,
MULTITENANT_RELATIVE_STATIC_ROOT, REWRITE_STATIC_URLS and MULTITENANT_TEMPLATE_DIRS configure
classes of django-tenants that a project may name. SHOW_PUBLIC_IF_NO_TENANT_FOUND has a check.
"""

from collections.abc import Iterator

from django.conf import settings

FIXED = {"PUBLIC_SCHEMA_NAME": "public", "TENANT_DB_ALIAS": "default"}
ONE_TYPE = "All tenants have the same apps."
BY_HOST = "A tenant is found by its host."
BLUEPRINT = "The blueprint makes new schemas."
FLEET = "The engine's executor migrates the tenants."
UNUSED = {
    "HAS_MULTI_TYPE_TENANTS": ONE_TYPE,
    "TENANT_TYPES": ONE_TYPE,
    "MULTI_TYPE_DATABASE_FIELD": ONE_TYPE,
    "TENANT_SUBFOLDER_PREFIX": BY_HOST,
    "DEFAULT_NOT_FOUND_TENANT_VIEW": "Override the template tenancy/unknown_host.html.",
    "TENANT_BASE_SCHEMA": BLUEPRINT,
    "TENANT_CREATION_FAKES_MIGRATIONS": BLUEPRINT,
    "TENANT_MULTIPROCESSING_MAX_PROCESSES": FLEET,
    "TENANT_MULTIPROCESSING_MAX_TASKS_PER_CHILD": FLEET,
    "TENANT_SUBPROCESS_PARALLEL": FLEET,
    "TENANT_MIGRATION_ORDER": FLEET,
    "TENANT_LIMIT_SET_CALLS": "The search_path is set only where another one is in force.",
    "TENANT_USERS_PERMS_QUERYSET": "UserBackend reads the permissions.",
    "MULTITENANT_RELATIVE_MEDIA_ROOT": "Each tenant has a folder in MEDIA_ROOT.",
    "CELERY_TASK_TENANT_DATABASES": "All databases with the engine's backend follow the tenant.",
    "CELERY_TASK_TENANT_CACHE_SECONDS": "Tenants are cached until one is changed.",
}


def refused() -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a setting, and why."""
    for name, value in FIXED.items():
        if getattr(settings, name, value) != value:
            yield f"{name} can only be “{value}”.", "The engine relies on it."
    for name, reason in UNUSED.items():
        if getattr(settings, name, None):
            yield f"{name} has no effect.", reason
