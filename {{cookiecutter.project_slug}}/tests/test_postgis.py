import pytest
from django.conf import settings
from django.contrib.gis.geos import Point
from django.db import connection


def test_the_backend_is_postgis():
    assert settings.ORIGINAL_BACKEND == "django.contrib.gis.db.backends.postgis"


@pytest.mark.usefixtures("tenant")
def test_a_tenant_measures_distances():
    """Berlin to Paris: 878 km on the WGS 84 ellipsoid."""
    berlin, paris = Point(13.405, 52.52, srid=4326), Point(2.3522, 48.8566, srid=4326)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ST_Distance(ST_GeogFromText(%s), ST_GeogFromText(%s))", [berlin.wkt, paris.wkt]
        )
        assert cursor.fetchone()[0] == pytest.approx(878_000, rel=0.005)
