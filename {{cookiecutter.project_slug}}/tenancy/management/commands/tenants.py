from django.core.management.base import BaseCommand
from django.db import connection
from django.db.models import OuterRef, Subquery
from django.template.defaultfilters import filesizeformat
from django.utils.timesince import timesince

from tenancy.concrete import Domain, Tenant
from tenancy.management.base import format_table

SIZES = """
    SELECT nspname, sum(pg_total_relation_size(pg_class.oid))::bigint
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'm') GROUP BY nspname
"""
TITLES = ("SLUG", "STATE", "OWNER", "DOMAIN", "SIZE", "AGE")


class Command(BaseCommand):
    help = "List the tenants with state, owner, primary domain, size on disk and age."

    def handle(self, **options):
        with connection.cursor() as cursor:
            cursor.execute(SIZES)
            sizes = dict(cursor.fetchall())
        primary = Domain.objects.filter(tenant=OuterRef("pk"), is_primary=True).values("domain")
        tenants = Tenant.all_objects.select_related("owner").annotate(host=Subquery(primary[:1]))
        rows = [
            (
                tenant.slug,
                tenant.status,
                tenant.owner.username,
                tenant.host or "none",
                filesizeformat(sizes.get(tenant.schema_name, 0)).replace("\xa0", " "),
                timesince(tenant.created, depth=1).replace("\xa0", " "),
            )
            for tenant in tenants.order_by("slug")
        ]
        return format_table([TITLES, *rows])
