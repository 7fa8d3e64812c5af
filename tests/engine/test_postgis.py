"""PostGIS is there once, in public, and each tenant has all of it."""

import csv
import re
import zipfile
from io import StringIO

import pytest
from django.conf import settings
from django.contrib.gis.db.models.functions import Transform
from django.contrib.gis.geos import GEOSGeometry, Point
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from tenancy.copies.export import export
from tenancy.exceptions import LocalPostgresError
from tenancy.postgis import libraries

from engine.copies import cleaned_up, provision
from engine.schemas import describe
from engine.shapes.models import Shape

GIS = "from django.contrib.gis.db import models as gis"
# A migration each, one after the other.
ALIKE = [
    'migrations.AddField("animal", "seen", gis.PointField(geography=True, null=True))',
    'migrations.AddField("animal", "home", gis.PolygonField(null=True))',
    'migrations.AddField("animal", "way", gis.LineStringField(dim=3, spatial_index=False,'
    " srid=3857, null=True))",
    'migrations.AlterField("animal", "home", gis.PolygonField(srid=25832, null=True))',
    'migrations.AlterField("animal", "home", gis.PolygonField(srid=25832, dim=3, null=True))',
    'migrations.AlterField("animal", "way", gis.LineStringField(srid=3857, null=True))',
    'migrations.AlterField("animal", "seen", gis.PointField(geography=True, spatial_index=False,'
    " null=True))",
    'migrations.AlterField("animal", "home", gis.GeometryField(srid=25832, dim=3, null=True))',
    'migrations.RenameField("animal", "home", "area")',
    'migrations.CreateModel("Cage", [("id", models.BigAutoField(primary_key=True)),'
    ' ("at", gis.MultiPolygonField(geography=True))])',
    'migrations.RemoveField("animal", "way")',
]


def test_the_backend_is_postgis():
    assert settings.ORIGINAL_BACKEND == "django.contrib.gis.db.backends.postgis"


@pytest.mark.usefixtures("tenant")
def test_the_extension_is_in_public_and_nowhere_else():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nspname FROM pg_namespace JOIN pg_extension ON extnamespace = pg_namespace.oid"
            " WHERE extname LIKE 'postgis%'"
        )
        assert cursor.fetchall() == [("public",)]
        cursor.execute(
            "SELECT DISTINCT relnamespace::regnamespace::text FROM pg_class"
            " WHERE relname IN ('spatial_ref_sys', 'geometry_columns', 'geography_columns')"
        )
        assert cursor.fetchall() == [("public",)]


@pytest.mark.usefixtures("tenant")
def test_a_tenants_migration_does_not_think_of_making_it():
    with CaptureQueriesContext(connection) as queries:
        connection.prepare_database()
    assert not queries.captured_queries


def test_a_tenant_from_the_blueprint_has_the_type_modifiers(tenant):
    described = describe(tenant.schema_name)

    columns = "\n".join(described["columns"])
    for table, column, kind in (
        ("places_place", "position", "geography(Point,4326)"),
        ("shapes_shape", "solid", "geometry(PolygonZ,3857)"),
        ("shapes_shape", "ways", "geography(MultiLineString,4326)"),
        ("shapes_shape", "anything", "geometry(Geometry,25832)"),
    ):
        assert re.search(rf"^\('{table}', .*'{column}', '{re.escape(kind)}'", columns, re.M)
    gist = [line for line in described["indexes"] if "USING gist" in line]
    assert len(gist) == 4
    assert any("gist_geometry_ops_nd" in line for line in gist)


def test_a_fleet_replays_geometry_as_django_makes_it(zoo):
    for number, operation in enumerate(ALIKE, 2):
        zoo.write(f"{number:04}_more", operation, code=GIS)
    _, *steps = zoo.migrate(plan=True).splitlines()
    steps = [step for step in steps if not step.startswith("Warning: ")]
    assert [step.partition(": ")[2] for step in steps] == ["replayed"] * len(ALIKE)

    by_django, *fleet = zoo.schemas
    zoo.migrate(schema_name=by_django, executor="standard", verbosity=0)
    zoo.migrate(verbosity=0)

    catalog = str(zoo.catalog(by_django))
    assert "zoo_animal seen geography(Point,4326)" in catalog
    assert "zoo_animal area geometry(GeometryZ,25832)" in catalog
    for schema in fleet:
        assert str(zoo.catalog(schema)) == catalog


def test_a_tenant_knows_the_coordinate_systems(tenant):
    """By its definition (EPSG:25832, UTM zone 32N) x = 500 km is the meridian of 9° E."""
    Shape.objects.create(anything=Point(500_000, 0, srid=25832))

    there = Shape.objects.values_list(Transform("anything", 4326), flat=True).get()

    assert there.coords == pytest.approx((9, 0), abs=1e-9)


def test_all_that_is_stored_comes_back(tenant):
    solid = GEOSGeometry("SRID=3857;POLYGON Z ((0 0 1, 0 9 2, 9 9 3, 0 0 1))")
    ways = GEOSGeometry("SRID=4326;MULTILINESTRING ((13.4 52.5, 2.35 48.86), (0 0, 1 1))")
    many = GEOSGeometry("SRID=4326;GEOMETRYCOLLECTION (POINT (1 2), LINESTRING (0 0, 1 1))")
    Shape.objects.create(solid=solid, ways=ways, many=many)

    shape = Shape.objects.get()

    assert (shape.solid.ewkt, shape.ways, shape.many) == (solid.ewkt, ways, many)
    assert shape.solid.hasz


def test_introspection_finds_a_tenants_geometry(tenant):
    written = StringIO()
    call_command("inspectdb", "shapes_shape", "places_place", stdout=written)

    text = written.getvalue()
    for line in (
        "solid = models.PolygonField(srid=3857, dim=3, blank=True, null=True)",
        "ways = models.MultiLineStringField(geography=True, blank=True, null=True)",
        "anything = models.GeometryField(srid=25832, blank=True, null=True)",
        "position = models.PointField(geography=True)",
    ):
        assert line in text


@pytest.mark.usefixtures("tenant")
def test_introspection_leaves_the_tables_of_postgis_out():
    connection.set_schema_to_public()
    assert "spatial_ref_sys" not in connection.introspection.table_names()
    assert "geometry_columns" not in connection.introspection.table_names(include_views=True)


@pytest.mark.usefixtures("db")
def test_the_checks_pass():
    assert run_checks(tags=["postgis", Tags.database], databases=["default"]) == []


@pytest.fixture
def no_system(monkeypatch, tmp_path):
    """A machine without GDAL and GEOS."""
    monkeypatch.setattr(libraries, "find_library", lambda name: None)
    monkeypatch.setattr(libraries, "HOMEBREW", tmp_path)
    monkeypatch.delenv("GDAL_LIBRARY_PATH", raising=False)
    monkeypatch.delenv("GEOS_LIBRARY_PATH", raising=False)
    return tmp_path


def test_what_is_missing_is_named_with_how_to_install_it(no_system):
    with pytest.raises(LocalPostgresError) as caught:
        libraries.find()

    message = str(caught.value)
    for words in ("no GDAL; no GEOS", "apt install", "dnf install", "brew install"):
        assert words in message
    assert "\n" not in message


def test_a_library_that_lacks_another_is_named_with_it(no_system, monkeypatch):
    broken = no_system / "libgdal.so"
    broken.write_text("no library")
    monkeypatch.setenv("GDAL_LIBRARY_PATH", str(broken))

    with pytest.raises(LocalPostgresError, match=r"GDAL can't be loaded: .*libgdal\.so"):
        libraries.find()


def test_homebrews_are_found_where_no_other_python_looks(no_system, monkeypatch):
    for name in ("gdal", "geos_c"):
        (no_system / f"lib{name}.dylib").touch()
    monkeypatch.setattr(libraries, "problem", lambda name, path: None)

    assert libraries.find() == (
        str(no_system / "libgdal.dylib"),
        str(no_system / "libgeos_c.dylib"),
    )


def test_an_export_has_places_as_text(committed_db, tmp_path):
    with cleaned_up():
        with provision("source") as source:
            Shape.objects.create(anything=GEOSGeometry("SRID=25832;POINT(1 2)"))
        connection.set_schema_to_public()
        export(source, file := tmp_path / "export.zip")
    with zipfile.ZipFile(file) as archive:
        text = archive.read("tables/shapes_shape.csv").decode("utf-8-sig")
    [row] = csv.DictReader(StringIO(text))
    assert row["anything"] == "POINT(1 2)"
