"""A pytest plugin: two tenants for the whole test run, and clients for their hosts.

The project's `conftest.py` loads it, for tests in any folder. A test with the fixture `tenant` runs
in that tenant, like the code of a tenant's app. A test with `db` alone runs in public. What a test
writes is rolled back.
"""

import pytest

from tenancy.testing.client import TenantClient, sign_in

__all__ = ["TenantClient", "sign_in"]


def pytest_addoption(parser):
    parser.addoption(
        "--isolation",
        choices=["pairs", "full", "replica"],
        default="pairs",
        help="the requests of the isolation proof: each pair of person, method and id; all;"
        " or those that may read from the replica in TEST_REPLICA_URL",
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    # pytest-django has set up Django by now, so models can be imported.
    config.pluginmanager.import_plugin("tenancy.testing.fixtures")
