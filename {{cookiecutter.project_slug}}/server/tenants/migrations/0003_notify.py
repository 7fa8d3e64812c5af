"""Who remembers where a host leads (`server.tenants.routes`) hears of every change: by whatever way
it is made, and with its commit."""

from django.db import migrations

TABLES = ["tenants_tenant", "tenants_domain"]
FUNCTION = """
CREATE FUNCTION tenants_notify() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN NOTIFY tenants; RETURN NULL; END $$
"""
TRIGGER = """
CREATE TRIGGER tenants_notify AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {}
FOR EACH STATEMENT EXECUTE FUNCTION tenants_notify()
"""


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_initial")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION tenants_notify"),
        *(
            migrations.RunSQL(TRIGGER.format(table), f"DROP TRIGGER tenants_notify ON {table}")
            for table in TABLES
        ),
    ]
