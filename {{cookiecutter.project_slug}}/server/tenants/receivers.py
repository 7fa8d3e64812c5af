"""This project's reactions to new and changed tenants.

`tenancy.signals` has a signal for each transition. django-tenants sends `schema_migrated` in the
transaction that makes a schema, and `post_schema_sync` after it, for new tenants, clones and
restored backups.
"""

import logging
from functools import partial

from django.db import connection, transaction
from django.dispatch import receiver
from django_tenants.signals import post_schema_sync
from django_tenants.utils import quote_schema_name

from server.tenants.models import Tenant
from tenancy import hosts
from tenancy.emails import send_email

logger = logging.getLogger(__name__)

NOT_FILLED = """
    SELECT matviewname FROM pg_matviews WHERE schemaname = %s AND NOT ispopulated
"""


@receiver(post_schema_sync)
def tell_owner(tenant: Tenant, **kwargs):
    transaction.on_commit(partial(send_ready_email, tenant), robust=True)


def send_ready_email(tenant: Tenant) -> None:
    url = hosts.site_url(hosts.host_of(tenant.slug))
    send_email("tenant_ready", tenant.owner, {"tenant": tenant, "url": url})


def fill_materialized_views(schema_name: str, **kwargs):
    """Fill the views that a migration created WITH NO DATA.

    It is not connected, because it costs a query for each tenant in every `migrate_schemas`. If
    your migrations create such views, add `@receiver(schema_migrated)`.
    """
    with connection.cursor() as cursor:
        cursor.execute(NOT_FILLED, [schema_name])
        for (view,) in cursor.fetchall():
            name = f"{quote_schema_name(schema_name)}.{connection.ops.quote_name(view)}"
            try:
                with transaction.atomic():
                    cursor.execute(f"REFRESH MATERIALIZED VIEW {name}")
            except Exception:  # a tenant works without it
                logger.exception(f"{name} is not filled. Run REFRESH MATERIALIZED VIEW.")
