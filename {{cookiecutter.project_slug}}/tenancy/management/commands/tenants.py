from django.core.management.base import BaseCommand
from django.db import connection
from django.db.models import OuterRef, Subquery
from django.template.defaultfilters import filesizeformat
from django.utils.timesince import timesince

from tenancy.concrete import Domain, Tenant
from tenancy.database import citus
from tenancy.lifecycle.origins import origin_of, with_maker
from tenancy.management.base import format_table
from tenancy.schemas import spares

SIZES = """
    SELECT nspname, sum(pg_total_relation_size(pg_class.oid))::bigint
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'm') GROUP BY nspname
"""
TITLES = ("SLUG", "STATE", "OWNER", "DOMAIN", "SIZE", "AGE", "ORIGIN")


class Command(BaseCommand):
    help = (
        "List the tenants with state, owner, primary domain, size on disk, age and origin; on Citus"
        " with their node."
    )

    def handle(self, **options):
        with connection.cursor() as cursor:
            cursor.execute(SIZES)
            sizes = dict(cursor.fetchall()) | citus.sizes()
        places = citus.places()
        titles = (*TITLES, "NODE") if citus.is_citus() else TITLES
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
                origin_of(tenant),
                places.get(tenant.schema_name, "coordinator"),
            )[: len(titles)]
            for tenant in with_maker(tenants).order_by("slug")
        ]
        table = format_table([titles, *rows])
        return f"{table}\n\n{spares.described()}" if spares.wanted() else table
