from django.core.management.base import BaseCommand
from django.db import connection
from django.db.models import OuterRef, Q, Subquery
from django.template.defaultfilters import filesizeformat
from django.utils.timesince import timesince

from tenancy.concrete import Domain, Tenant
from tenancy.database import citus
from tenancy.lifecycle.origins import origin_of, with_maker
from tenancy.management.base import check_text, format_table
from tenancy.schemas import spares

# It asks the file system for each file. `relpages` would be quicker, but counts nothing before
# the first VACUUM of a table.
SIZES = """
    SELECT nspname, sum(pg_total_relation_size(pg_class.oid))::bigint
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'm') AND nspname = ANY(%s) GROUP BY nspname
"""


class Command(BaseCommand):
    help = "List the tenants with state, owner, primary domain, age and origin; on Citus with node."

    def add_arguments(self, parser):
        parser.add_argument(
            "word", nargs="?", default="", help="only those with this in slug, name, owner or host"
        )
        parser.add_argument("--sizes", action="store_true", help="with sizes on disk, slower")

    def handle(self, *, word, sizes, **options):
        check_text(word)
        tenants = [*read(word)]
        places = citus.places()
        columns = {
            "SLUG": lambda tenant: tenant.slug,
            "STATE": lambda tenant: tenant.status,
            "OWNER": lambda tenant: tenant.owner.username,
            "DOMAIN": lambda tenant: tenant.host or "none",
            "SIZE": sizes and size_of(tenants),
            "AGE": lambda tenant: timesince(tenant.created, depth=1).replace("\xa0", " "),
            "NODE": citus.is_citus()
            and (lambda tenant: places.get(tenant.schema_name, "coordinator")),
            "ORIGIN": origin_of,
        }
        columns = {title: value for title, value in columns.items() if value}
        rows = [tuple(value(tenant) for value in columns.values()) for tenant in tenants]
        table = format_table([tuple(columns), *rows])
        return f"{table}\n\n{spares.described()}" if spares.wanted() else table


def read(word: str):
    primary = Domain.objects.filter(tenant=OuterRef("pk"), is_primary=True).values("domain")
    tenants = Tenant.all_objects.select_related("owner").annotate(host=Subquery(primary[:1]))
    if word:
        at_host = Domain.objects.filter(domain__icontains=word).values("tenant")
        tenants = tenants.filter(
            Q(slug__icontains=word)
            | Q(name__icontains=word)
            | Q(owner__username__icontains=word)
            | Q(pk__in=at_host)
        )
    return with_maker(tenants).order_by("slug")


def size_of(tenants):
    """Return a function that says how much space a tenant takes."""
    with connection.cursor() as cursor:
        cursor.execute(SIZES, [[tenant.schema_name for tenant in tenants]])
        sizes = dict(cursor.fetchall()) | citus.sizes()

    def size(tenant):
        return filesizeformat(sizes.get(tenant.schema_name, 0)).replace("\xa0", " ")

    return size
