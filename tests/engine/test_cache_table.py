"""Django's cache in the database asks routers about a class that is hardly a model."""

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection


@pytest.fixture
def cache(db, settings):
    settings.CACHES = {
        "default": settings.CACHES["default"]
        | {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "cache_entries",
            "OPTIONS": {},
        }
    }
    call_command("createcachetable", verbosity=0)
    return caches["default"]


def test_a_cache_in_the_database_has_a_table_in_public_and_keys_of_the_tenants(
    cache, tenant, other_tenant
):
    tenant.deactivate()
    cache.set("greeting", "of public")
    for each in (tenant, other_tenant):
        with each:
            assert cache.get("greeting") is None
            cache.set("greeting", f"of {each.slug}")
            cache.set_many({"a": 1, "b": 2})
            assert cache.incr("a") == 2
    with tenant:
        assert cache.get("greeting") == "of first"
        cache.delete("greeting")
    with other_tenant:
        assert cache.get_many(["greeting", "a"]) == {"greeting": "of other", "a": 2}
    assert cache.get("greeting") == "of public"

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = %s",
            ["cache_entries"],
        )
        assert cursor.fetchall() == [("public",)]
