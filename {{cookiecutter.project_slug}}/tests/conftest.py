"""Two tenants that live as long as the test run, and clients signed in at them.

A test that asks for `tenant` runs inside it, as the code of a tenant's app does; one that asks for
`db` alone runs in the public schema. What a test writes is rolled back.
"""

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from django_tenants.utils import tenant_context
from hypothesis import settings

from server.init_tenant import create_public_tenant
from server.tenants import blueprint
from server.tenants.lifecycle import provision_tenant
from server.tenants.models import Tenant
from server.tenants.people import create_user
from tests.zoo import APP, Zoo

# template: if cookiecutter.use_postgis
if not connection.features.gis_enabled:  # with a DATABASE_URL of postgres:// there are no places
    collect_ignore = ["shapes", "test_places.py", "test_postgis.py"]

# template: endif
settings.register_profile(
    "quick", max_examples=12, stateful_step_count=20, deadline=None, database=None
)
settings.register_profile(
    "thorough", settings.get_profile("quick"), max_examples=140, stateful_step_count=40
)


class TenantClient(Client):
    """A client whose requests go to one tenant's host and leave the test in its own tenant."""

    def __init__(self, tenant, user=None):
        super().__init__(SERVER_NAME=tenant.get_primary_domain().domain)
        if user:
            with tenant_context(tenant):
                self.force_login(user)

    def request(self, **request):
        with tenant_context(connection.tenant):
            return super().request(**request)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        create_public_tenant("localhost", "admin", "password")
        get_user_model().objects.create_user("other@localhost", "password", username="other")
        blueprint.refresh()
        provision_tenant("First Tenant", "first", "First Organization", "admin")
        provision_tenant("Other Tenant", "other", "Other Organization", "other")


@pytest.fixture(autouse=True)
def _nothing_is_carried_over():
    yield
    connection.set_schema_to_public()


@pytest.fixture
def transactional_db(django_db_setup, django_db_blocker):
    """The database as it is outside of tests: what is done stays done, so undo it in the test.

    pytest-django's own empties all tables in the end, the two tenants' among them.
    """
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def public(db):
    return Tenant.objects.get(slug="public")


@pytest.fixture
def tenant(db):
    """The tenant that the test runs in; `admin` owns it."""
    with Tenant.objects.get(slug="first") as tenant:
        yield tenant


@pytest.fixture
def other_tenant(db):
    """Another tenant, which `other` owns; enter it with `with other_tenant:`."""
    return Tenant.objects.get(slug="other")


@pytest.fixture
def outside(tenant):
    """The tenant of the fixture `tenant`, for a test that runs in the public schema."""
    tenant.deactivate()
    return tenant


@pytest.fixture
def ada(db):
    """A person of no tenant."""
    return create_user("ada", "ada@example.com", "analytical engine")


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command, which has nobody to ask; returns what it wrote."""
    monkeypatch.setattr("sys.stdin", None)

    def run(*arguments, **options):
        call_command(*arguments, **options)
        return capsys.readouterr().out.strip()

    return run


@pytest.fixture
def public_client(public):
    """Signed in at the public site as its administrator."""
    return TenantClient(public, public.owner)


@pytest.fixture
def tenant_client(tenant):
    """Signed in at the tenant as its owner."""
    return TenantClient(tenant, tenant.owner)


@pytest.fixture
def other_client(other_tenant):
    """Signed in at the other tenant as its owner."""
    return TenantClient(other_tenant, other_tenant.owner)


@pytest.fixture
def zoo(transactional_db, tmp_path, monkeypatch):
    """A fleet of a few tenants, and an app whose migrations the test writes; see `tests/zoo.py`."""
    monkeypatch.syspath_prepend(tmp_path)
    zoo = Zoo(tmp_path)
    apps = {
        name: [*getattr(django_settings, name), APP] for name in ("INSTALLED_APPS", "TENANT_APPS")
    }
    try:
        with override_settings(**apps):
            zoo.open()
            yield zoo
    finally:
        zoo.close()
