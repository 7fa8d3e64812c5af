"""Triggers that notify every process of a change in the tables of tenants and domains.

`tenancy.requests.routes` caches where a host leads until such a notification, which raw SQL sends
too. A tenant that is being made is never cached and sends none: PostgreSQL commits transactions
with notifications one after the other, so tenants made at the same time would wait for each other.
"""

from django.conf import settings
from django.db import migrations

# IF in the function, because WHEN in the trigger would forbid to alter the column.
TENANT = (
    "AFTER UPDATE ON {table} FOR EACH ROW",
    "IF OLD.status <> 'provisioning' THEN NOTIFY tenants; END IF;",
)
DOMAIN = (
    "AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT",
    "NOTIFY tenants;",
)
CREATE = """
    CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN {body} RETURN NULL; END $$;
    CREATE TRIGGER tenants_notify {event} EXECUTE FUNCTION {name}()
"""


def tables(apps):
    for setting, trigger in (("TENANT_MODEL", TENANT), ("TENANT_DOMAIN_MODEL", DOMAIN)):
        yield apps.get_model(getattr(settings, setting))._meta.db_table, trigger


def create(apps, schema_editor):
    quote = schema_editor.quote_name
    for table, (event, body) in tables(apps):
        name = quote(f"{table}_notify")
        event = event.format(table=quote(table))
        schema_editor.execute(CREATE.format(name=name, event=event, body=body))


def drop(apps, schema_editor):
    for table, _ in tables(apps):
        schema_editor.execute(f"DROP FUNCTION {schema_editor.quote_name(f'{table}_notify')} CASCADE")


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0001_initial"),
        migrations.swappable_dependency(settings.TENANT_MODEL),
        migrations.swappable_dependency(settings.TENANT_DOMAIN_MODEL),
    ]

    operations = [migrations.RunPython(create, drop)]
