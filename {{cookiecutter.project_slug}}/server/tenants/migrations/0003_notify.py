"""Who remembers where a host leads (`server.tenants.routes`) hears of every change: by whatever way
it is made, and with its commit.

Nobody remembers a tenant that is being made. Transactions that notify commit one after the other,
and each waits for the disk: tenants that are made at the same time would wait for one another.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION tenants_notify() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN NOTIFY tenants; RETURN NULL; END $$
"""
# A tenant without a domain is led to by nothing, also when it is new or about to go.
TRIGGERS = {
    "tenants_tenant": "AFTER UPDATE ON {} FOR EACH ROW WHEN (OLD.status <> 'provisioning')",
    "tenants_domain": "AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {} FOR EACH STATEMENT",
}


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_initial")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION tenants_notify"),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER tenants_notify {when.format(table)} EXECUTE FUNCTION tenants_notify()",
                f"DROP TRIGGER tenants_notify ON {table}",
            )
            for table, when in TRIGGERS.items()
        ),
    ]
