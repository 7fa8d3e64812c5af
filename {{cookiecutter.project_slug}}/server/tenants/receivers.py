"""What happens on django-tenants' signals, which come for every way in which a tenant comes about.

A receiver here never raises: it would be the end of what somebody else has begun. What hands work
to a task hands over the tenant's key, never the instance, and does it on commit.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection, transaction
from django.dispatch import Signal, receiver
from django.template.loader import render_to_string
from django_tenants.migration_executors.base import run_migrations
from django_tenants.signals import post_schema_sync, schema_migrate_message, schema_migrated
from django_tenants.utils import quote_schema_name

from server.tenants import hosts
from server.tenants.models import Tenant
from server.tenants.post_migrate import receivers

logger = logging.getLogger(__name__)

# A view depends on its schema, and by that it is found. One that is made later may use another.
NOT_FILLED = """
    SELECT relname FROM pg_class WHERE relkind = 'm' AND NOT relispopulated AND oid IN (
        SELECT objid FROM pg_depend
        WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace(%s)
            AND classid = 'pg_class'::regclass
    ) ORDER BY oid
"""


@receiver(post_schema_sync)
def tell_owner(tenant: Tenant, **kwargs):
    transaction.on_commit(partial(mail_owner, tenant), robust=True)


def mail_owner(tenant: Tenant) -> None:
    scheme = "https" if settings.SECURE_SSL_REDIRECT else "http"
    port = ":8000" if settings.DEBUG else ""  # runserver's: no request says which it is
    # The slug's host, which leads to it whatever its primary one is: a query would take longer than
    # the rest, for PostgreSQL learns the new tables after the commit.
    url = f"{scheme}://{hosts.host_of(tenant.slug)}{port}/"
    about = {"tenant": tenant, "url": url}
    text = render_to_string("tenant_ready_email.txt", about)
    send_mail(f"{tenant} is ready", text, None, [tenant.owner.email])


@receiver(schema_migrated)
def fill_materialized_views(schema_name: str, **kwargs):
    """Fill what a migration has left empty (`CREATE MATERIALIZED VIEW … WITH NO DATA`).

    So a migration takes no time over it, and may replace a view that depends on what it alters.
    """
    own = quote_schema_name(schema_name)
    try:
        with connection.cursor() as cursor:
            cursor.execute(NOT_FILLED, [own])
            views = [f"{own}.{connection.ops.quote_name(name)}" for (name,) in cursor]
            for view in views:
                with transaction.atomic():
                    cursor.execute(f"REFRESH MATERIALIZED VIEW {view}")
    except Exception:
        what = f"A materialized view of {schema_name} is not filled."
        logger.exception(f"{what} REFRESH MATERIALIZED VIEW would do it.")


def others_hear(*signals: Signal) -> bool:
    """Whether somebody hears one of the library's who isn't known to have nothing to do where
    nothing was migrated, or no view was made."""
    heard = (one for signal in signals for one in receivers(signal, run_migrations))
    return any(one is not fill_materialized_views for one in heard)


@contextmanager
def progress(show: Callable[[str], object]) -> Iterator[None]:
    """Show each message about migrations that are carried out in the block."""

    def on_message(message: str, **kwargs):
        show(message)

    schema_migrate_message.connect(on_message)
    try:
        yield
    finally:
        schema_migrate_message.disconnect(on_message)
