import pytest
from django.db import connection
from django.test.utils import override_settings, setup_databases, teardown_databases
from django_tenants.utils import schema_context

from tenancy.concrete import Tenant
from tenancy.people.accounts import create_user
from tenancy.testing.client import TenantClient
from tenancy.testing.database import populate
from tenancy.testing.isolation import Isolation

NEEDS_FLUSH = "transactional_db", "django_db_reset_sequences", "live_server"


@pytest.fixture(scope="session")
def django_db_setup(
    request,
    django_test_environment,
    django_db_blocker,
    django_db_keepdb,
    django_db_createdb,
    django_db_modify_db_settings,
):
    """Make the test database with its tenants, and remove it in the end.

    It takes the place of pytest-django's fixture, which makes no database if it knows no test that
    needs one. It doesn't know `committed_db`, so such tests would write to the project's database.
    """
    verbosity = request.config.option.verbose
    with django_db_blocker.unblock():
        databases = setup_databases(
            verbosity, interactive=False, keepdb=django_db_keepdb and not django_db_createdb
        )
        populate()
    yield
    if not django_db_keepdb:
        with django_db_blocker.unblock():
            teardown_databases(databases, verbosity)


def pytest_collection_modifyitems(items):
    """Refuse tests after which Django would empty all tables."""
    for item in items:
        marker = item.get_closest_marker("django_db")
        if (marker and marker.kwargs.get("transaction")) or {*NEEDS_FLUSH} & {*item.fixturenames}:
            raise pytest.UsageError(
                f"{item.nodeid}: Django would empty the tenants' tables after it. Use the fixture"
                " `committed_db` instead, and let the test undo what it writes."
            )


@pytest.fixture(autouse=True, scope="session")
def _uploads(tmp_path_factory):
    """Keep the uploads, exports and archives of tests away from those of the project."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("MEDIA_ROOT", "PRIVATE_ROOT")}
    with override_settings(**folders):
        yield


@pytest.fixture(autouse=True)
def _back_to_public():
    yield
    connection.set_schema_to_public()


@pytest.fixture
def committed_db(django_db_setup, django_db_blocker):
    """The database without a transaction. The test must undo what it writes."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def public(db):
    """The main website's tenant; `admin` owns it."""
    return Tenant.objects.get(slug="public")


@pytest.fixture
def tenant(db):
    """The tenant that the test runs in; `admin` owns it."""
    with Tenant.objects.get(slug="first") as tenant:
        yield tenant


@pytest.fixture
def other_tenant(db):
    """Another tenant; `other` owns it. Enter it with `with other_tenant:`."""
    return Tenant.objects.get(slug="other")


@pytest.fixture
def ada(db):
    """A person who is a member of no tenant."""
    with schema_context("public"):
        return create_user("ada", "ada@example.com", "analytical engine")


@pytest.fixture
def public_client(public):
    """A client for the main website, signed in as its owner."""
    return TenantClient(public, public.owner)


@pytest.fixture
def tenant_client(tenant):
    """A client for the tenant's host, signed in as its owner."""
    return TenantClient(tenant, tenant.owner)


@pytest.fixture
def other_client(other_tenant):
    """A client for the other tenant's host, signed in as its owner."""
    return TenantClient(other_tenant, other_tenant.owner)


@pytest.fixture
def isolation(request):
    """The proof that no tenant reaches another: `isolation.prove()`."""
    requests = request.config.getoption("isolation")
    request.getfixturevalue("committed_db" if requests == "replica" else "db")
    return Isolation(requests)
