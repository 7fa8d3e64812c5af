"""What django-tenants' signals say of a new tenant, and what happens on them."""

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django_tenants.migration_executors.base import run_migrations
from django_tenants.models import TenantMixin
from django_tenants.signals import schema_migrate_message, schema_migrated
from server.tenants.models import Organization, Tenant
from tenancy import lifecycle
from tenancy.lifecycle import provision_tenant
from tenancy.lifecycle.provisioning import new_tenant
from tenancy.lifecycle.reservation import reserve
from tenancy.models import Blueprint
from tenancy.schemas import blueprint
from tenancy.schemas.migrate_signals import progress
from tenancy.schemas.undo import undoing

from engine.signals import SIGNALS, connected

IN_ORDER = [*SIGNALS]
MAKE_VIEW = "CREATE MATERIALIZED VIEW totals AS SELECT {} AS total WITH NO DATA"
UNIQUE_NAMES = (
    'migrations.AlterField("animal", "name", models.CharField(max_length=20, unique=True))'
)


@pytest.fixture
def heard():
    """Name, sender and what came along of every signal, and the tenants' states then."""
    calls = []
    names = {signal: name for name, signal in SIGNALS.items()}

    def listen(signal, sender, **arguments):
        states = [*Tenant.all_objects.filter(slug="acme").values_list("status", flat=True)]
        calls.append((names[signal], sender, arguments, states))

    with connected(listen, *SIGNALS.values()):
        yield calls


def by_blueprint():
    provision_tenant("Acme", "acme", "org", "admin")


def by_migrations():
    Blueprint.objects.all().delete()
    blueprint.load.cache_clear()
    try:
        by_blueprint()
    finally:
        blueprint.load.cache_clear()


def by_finishing():
    with undoing() as undo:
        tenant, _ = reserve(new_tenant(), "Acme", "acme", "org", "admin", undo)
        undo.pop_all()
    lifecycle.finish(tenant, "test")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("way", [by_blueprint, by_migrations])
def test_each_signal_comes_once_with_what_the_library_documents(heard, way):
    way()

    tenant = Tenant.objects.get(slug="acme")
    names = [name for name, *_ in heard]
    messages = names.count("schema_migrate_message")
    assert [name for name in names if name != "schema_migrate_message"] == [
        "schema_needs_to_be_sync",
        "schema_migrated",
        "post_schema_sync",
    ]
    assert messages == 1 or way == by_migrations
    assert names.index("schema_migrate_message") == 1
    said = str([about.get("message") for _, _, about, _ in heard])
    assert ("Applying notes.0001_initial..." in said) == (way is by_migrations)
    for name, sender, arguments, states in heard:
        if name in ("schema_needs_to_be_sync", "post_schema_sync"):
            assert (sender, arguments["tenant"]) == (TenantMixin, tenant)
        elif name == "schema_migrated":
            assert (sender, arguments["schema_name"]) == (run_migrations, tenant.schema_name)
        else:
            assert sender is run_migrations
            assert tenant.schema_name in arguments["message"]
        assert states == ["active" if name == "post_schema_sync" else "provisioning"]


@pytest.mark.usefixtures("db")
def test_what_was_interrupted_is_told_of_when_it_is_finished(heard):
    by_finishing()

    assert [name for name, *_ in heard] == IN_ORDER[1:]


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("name", ["schema_needs_to_be_sync", "post_schema_sync"])
def test_a_receiver_that_fails_is_logged_and_stops_nobody(heard, name, caplog):
    def fail(**kwargs):
        raise RuntimeError("A mail server is away.")

    with connected(fail, SIGNALS[name]):
        by_blueprint()

    assert [name for name, *_ in heard] == IN_ORDER
    assert "A mail server is away." in caplog.text


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("debug", "url"), [(False, "acme.localhost/"), (True, "acme.localhost:8000/")]
)
def test_the_owner_gets_a_mail(django_capture_on_commit_callbacks, settings, debug, url):
    settings.DEBUG = debug
    with django_capture_on_commit_callbacks(execute=True):
        by_blueprint()

    (letter,) = mail.outbox
    assert letter.to == ["admin@localhost"]
    assert letter.subject == "Acme is ready"
    assert f"http://{url}\n" in letter.body


@pytest.mark.usefixtures("db")
def test_without_a_mail_server_there_is_a_tenant(
    settings, django_capture_on_commit_callbacks, caplog
):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    with django_capture_on_commit_callbacks(execute=True):
        by_blueprint()

    assert Tenant.objects.active().filter(slug="acme").exists()
    assert "Connection refused" in caplog.text


def is_filled(schema_name):
    with connection.cursor() as cursor:
        cursor.execute("SELECT ispopulated FROM pg_matviews WHERE schemaname = %s", [schema_name])
        return [filled for (filled,) in cursor]


@pytest.mark.usefixtures("views_filled")
def test_a_materialized_view_of_a_migration_is_filled(zoo):
    zoo.write("0002_totals", f"migrations.RunSQL({MAKE_VIEW.format(7)!r})")

    zoo.migrate()

    assert [is_filled(schema) for schema in zoo.schemas] == [[True]] * 4


@pytest.mark.usefixtures("views_filled")
def test_a_view_is_filled_after_a_later_migration_has_failed(zoo):
    failed = zoo.schemas[1:3]
    zoo.write("0002_totals", f"migrations.RunSQL({MAKE_VIEW.format(7)!r})")
    zoo.write("0003_unique", UNIQUE_NAMES)
    for schema in failed:
        zoo.sql("INSERT INTO zoo_animal (name) VALUES ('rex'), ('rex')", schema=schema)
    with pytest.raises(CommandError, match="2 of 4 tenants failed"):
        zoo.migrate()
    assert [is_filled(schema) for schema in failed] == [[False]] * 2

    for schema in failed:
        zoo.sql("DELETE FROM zoo_animal", schema=schema)
    zoo.migrate()

    assert [is_filled(schema) for schema in failed] == [[True]] * 2


@pytest.mark.usefixtures("views_filled")
def test_a_view_that_cannot_be_filled_is_logged_and_stops_nobody(tenant, caplog):
    with connection.cursor() as cursor:
        cursor.execute(MAKE_VIEW.format("1 / (SELECT 0)"))
    connection.set_schema_to_public()
    with transaction.atomic():
        schema_migrated.send(run_migrations, schema_name=tenant.schema_name)
        assert Organization.objects.exists()

    assert is_filled(tenant.schema_name) == [False]
    assert "is not filled. Run REFRESH MATERIALIZED VIEW." in caplog.text


@pytest.mark.usefixtures("db")
def test_the_command_shows_the_progress(capsys):
    call_command("provision_tenant", "Acme", "acme", "org", "admin")

    *told, host = capsys.readouterr().out.splitlines()
    assert any("Made as its migrations would" in line for line in told)
    assert host == "acme.localhost"


@pytest.mark.usefixtures("db")
def test_progress_is_shown_for_as_long_as_its_block():
    shown = []
    with progress(shown.append):
        schema_migrate_message.send(run_migrations, message="one")
    schema_migrate_message.send(run_migrations, message="two")

    assert shown == ["one"]
