import pytest
from django.conf import settings
from django.test import override_settings
from server.tenants import blueprint, lifecycle
from server.tenants.models import Tenant
from tests.schemas import describe


def test_round(transactional_db, tmp_path):
    more = {
        name: [*getattr(settings, name), "tests.exotic"]
        for name in ("INSTALLED_APPS", "TENANT_APPS")
    }
    with override_settings(**more):
        blueprint.key.cache_clear()
        lifecycle.provision_tenant("Exotic", "exotic", "Exotic", "admin")
        tenant = Tenant.objects.get(slug="exotic")
        import time

        t = time.time()
        lifecycle.backup(tenant, tmp_path / "a.zip", "x")
        print(time.time() - t)
        t = time.time()
        print(lifecycle.restore(tmp_path / "a.zip", "x", slug="ex-otic"))
        print(time.time() - t)
        a, b = (
            describe(tenant.schema_name),
            describe(Tenant.objects.get(slug="ex-otic").schema_name),
        )
        assert a == b
    blueprint.key.cache_clear()
