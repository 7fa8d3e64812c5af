"""A clone is its source in all but the name, and has nothing to do with it."""

import pytest
from django.db import connection

from server.tenants import lifecycle
from server.tenants.lifecycle import clone, provision_tenant
from server.tenants.models import Organization, Tenant
from tests.schemas import describe
from django.conf import settings
from django.test import override_settings
from server.tenants import blueprint


@pytest.fixture(scope="module")
def exotic(django_db_setup, django_db_blocker):
    more = {
        name: [*getattr(settings, name), "tests.exotic"]
        for name in ("INSTALLED_APPS", "TENANT_APPS")
    }
    with django_db_blocker.unblock(), override_settings(**more):
        blueprint.key.cache_clear()
        provision_tenant("Exotic", "exotic", "Exotic", "admin")
        tenant = Tenant.objects.get(slug="exotic")
        yield tenant


def test_nothing_differs(exotic, transactional_db, django_db_blocker):
    with django_db_blocker.unblock():
        import time

        t = time.time()
        clone(exotic, "exo-tic", "test")
        print(time.time() - t)
        t = time.time()
        clone(Tenant.objects.get(slug="first"), "first-2", "test")
        print(time.time() - t)
        a, b = (
            describe(exotic.schema_name),
            describe(Tenant.objects.get(slug="exo-tic").schema_name),
        )
        assert a == b
