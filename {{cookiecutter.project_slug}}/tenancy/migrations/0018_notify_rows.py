"""Lets the domains' trigger notify for each row. Citus runs no other kind of trigger on a table
that a reference table is connected with. PostgreSQL sends equal notifications of a transaction once.
"""

from django.conf import settings
from django.db import migrations

EVENTS = {
    "tenants_notify": "INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW",
    "tenants_notify_truncate": "TRUNCATE ON {table} FOR EACH STATEMENT",
}


def create(apps, schema_editor):
    table = apps.get_model(settings.TENANT_DOMAIN_MODEL)._meta.db_table
    function = schema_editor.quote_name(f"{table}_notify")
    table = schema_editor.quote_name(table)
    for name, event in EVENTS.items():
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")
        event = event.format(table=table)
        schema_editor.execute(f"CREATE TRIGGER {name} AFTER {event} EXECUTE FUNCTION {function}()")


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0017_spares")]

    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
