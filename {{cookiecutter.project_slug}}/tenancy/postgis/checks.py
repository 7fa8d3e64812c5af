"""System checks for geography: the local server, PROJ and, with `--database`, the extension."""

from collections.abc import Iterator

from django.contrib.gis.gdal import GDALException, SpatialReference, SRSException
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connection
from django_tenants.utils import get_public_schema_name, get_tenant_database_alias

from tenancy.postgres import embedded, programs

WGS84 = 4326


@register("postgis")
def check_server(**kwargs) -> list[CheckMessage]:
    """Raise LocalPostgresError before a local database is made without PostGIS."""
    if "SERVER" in connection.settings_dict and not embedded.status():
        programs.find(embedded.DIRECTORY / "data", postgis=True)
    return []


@register("postgis")
def check_proj(**kwargs) -> Iterator[CheckMessage]:
    try:
        SpatialReference(WGS84)
    except (GDALException, SRSException):
        yield Error(
            "PROJ's database of coordinate systems isn't found.",
            hint="Install it (Debian, Ubuntu: proj-data; Fedora: proj-data; macOS: proj), and unset"
            " PROJ_DATA and PROJ_LIB if they name another place.",
            id="postgis.E001",
        )


@register(Tags.database)
def check_extension(databases=None, **kwargs) -> Iterator[CheckMessage]:
    if get_tenant_database_alias() not in (databases or ()):
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nspname, nspname = ANY(current_schemas(false))"
            " FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
            " WHERE extname = 'postgis'"
        )
        found = cursor.fetchone()
    if found is None:
        yield Error(
            "the database has no PostGIS.",
            hint="Run `manage.py migrate_schemas --shared`.",
            obj=get_public_schema_name(),
            id="postgis.E002",
        )
    elif not found[1]:
        yield Error(
            "PostGIS is in a schema where no tenant finds it.",
            hint="Name the schema in PG_EXTRA_SEARCH_PATHS, unless it is a tenant's; then drop the"
            " extension and create it in public.",
            obj=found[0],
            id="postgis.E003",
        )
