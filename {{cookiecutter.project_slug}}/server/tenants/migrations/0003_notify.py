"""Who remembers where a host leads (`server.tenants.routes`) hears of every change to that: by
whatever way it is made, and with its commit.

Nobody remembers a tenant that is being made. Transactions that notify commit one after the other,
and each waits for the disk: tenants that are made at the same time would wait for one another.
"""

from django.db import migrations

# When, and what then. A condition in the trigger would keep the column from ever being altered.
# A tenant without a domain is led to by nothing, also when it is new or about to go.
TRIGGERS = {
    "tenants_tenant": (
        "AFTER UPDATE ON tenants_tenant FOR EACH ROW",
        "IF OLD.status <> 'provisioning' THEN NOTIFY tenants; END IF;",
    ),
    "tenants_domain": (
        "AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON tenants_domain FOR EACH STATEMENT",
        "NOTIFY tenants;",
    ),
}


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_initial")]

    operations = [
        migrations.RunSQL(
            f"""
            CREATE FUNCTION {table}_notify() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN {then} RETURN NULL; END $$;
            CREATE TRIGGER tenants_notify {when} EXECUTE FUNCTION {table}_notify()
            """,
            f"DROP FUNCTION {table}_notify CASCADE",
        )
        for table, (when, then) in TRIGGERS.items()
    ]
