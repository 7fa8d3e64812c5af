"""A pytest plugin: two tenants that live as long as the test run, and clients for their hosts.

The project's `conftest.py` loads it, so its fixtures are there for tests in any folder. A test that
asks for `tenant` runs inside that tenant, as the code of a tenant's app does. One that asks for
`db` alone runs in the public schema. What a test writes is rolled back.
"""

import pytest

from tenancy.testing.client import TenantClient, sign_in

__all__ = ["TenantClient", "sign_in"]


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    # By now pytest-django has set up Django, and models can be imported.
    config.pluginmanager.import_plugin("tenancy.testing.fixtures")
