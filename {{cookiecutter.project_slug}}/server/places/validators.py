from django.contrib.gis.geos import GeometryCollection, GEOSGeometry, Polygon
from django.core.exceptions import ValidationError

WGS84 = 4326  # EPSG's number for longitude and latitude as GPS and GeoJSON have them
MOST_POINTS = 1000


def validate_geometry(geometry: GEOSGeometry) -> None:
    """Raise ValidationError for what PostGIS refuses, or takes and changes without a word: it
    moves a latitude of 120 degrees to 60."""
    if geometry.srid != WGS84:
        raise ValidationError(
            "Give degrees of WGS 84 (EPSG:4326), not coordinates of EPSG:%(srid)s.",
            params={"srid": geometry.srid},
        )
    if geometry.num_coords > MOST_POINTS:
        raise ValidationError(
            "Give at most %(most)s points; these are %(count)s.",
            params={"most": MOST_POINTS, "count": geometry.num_coords},
        )
    if lacks_points(geometry):
        raise ValidationError("Give coordinates; there are none in it, or in a part of it.")
    if geometry.hasz:
        raise ValidationError("Give longitude and latitude alone, without a height.")
    west, south, east, north = geometry.extent
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise ValidationError(
            "Give a longitude from -180 to 180 and a latitude from -90 to 90, in this order in"
            " GeoJSON."
        )
    if not geometry.valid:
        raise ValidationError(
            "Give an outline that doesn't cross or touch itself (%(reason)s).",
            params={"reason": geometry.valid_reason},
        )


def lacks_points(geometry: GEOSGeometry) -> bool:
    """Whether the geometry is empty or has an empty part: a hole without points is valid to GEOS,
    and an error to PostGIS."""
    parts = geometry if isinstance(geometry, (GeometryCollection, Polygon)) else ()
    return geometry.empty or any(map(lacks_points, parts))
