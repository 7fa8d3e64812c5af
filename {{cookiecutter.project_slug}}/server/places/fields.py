"""Form fields that read positions and shapes as people and programs write them."""

import re

from django import forms
from django.contrib.gis import forms as gis
from django.contrib.gis.gdal import GDALException
from django.contrib.gis.geos import GEOSException, GEOSGeometry, Point
from django.core.exceptions import SuspiciousOperation, ValidationError
from leaflet.admin import LeafletAdminWidget

from server.places.validators import WGS84, validate_geometry

POSITION = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*[,;\s]\s*([+-]?\d+(?:\.\d+)?)\s*", re.ASCII)

# What GEOSGeometry raises; SuspiciousOperation for a `crs` that would make GDAL ask a server.
NO_GEOJSON = (
    *(GDALException, GEOSException, SuspiciousOperation),
    *(ValueError, TypeError, RecursionError),
)


class PositionField(forms.Field):
    """A point as `latitude, longitude` in degrees: the order in which people write them."""

    def to_python(self, value) -> Point | None:
        if value in self.empty_values or not value.strip():
            return None
        numbers = POSITION.fullmatch(value)
        if not numbers:
            raise ValidationError("Write latitude and longitude in degrees, like 52.52, 13.405.")
        latitude, longitude = map(float, numbers.groups())
        if abs(latitude) > 90 >= abs(longitude):
            raise ValidationError("Write the latitude first: it is from -90 to 90 degrees.")
        point = Point(longitude, latitude, srid=WGS84)
        validate_geometry(point)
        return point


def read_geojson(text: str) -> GEOSGeometry:
    """Return the geometry in a GeoJSON text; raises ValidationError where there is none."""
    try:
        if text.lstrip().startswith("{"):  # GEOSGeometry reads other notations, too
            return GEOSGeometry(text)
    except NO_GEOJSON:
        pass
    raise ValidationError(
        'Give a geometry as GeoJSON, like {"type": "Point", "coordinates": [13.405, 52.52]}.'
    )


class GeoJSONWidget(LeafletAdminWidget):
    """A map to draw on, which also survives a text that is no GeoJSON."""

    def deserialize(self, value):
        try:
            geometry = read_geojson(value)
            validate_geometry(geometry)
        except ValidationError:
            return None  # an empty map
        return geometry


class GeoJSONField(gis.GeometryField):
    """A geometry of the wanted type as GeoJSON: longitude comes first in it."""

    widget = GeoJSONWidget

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.error_messages["invalid_geom_type"] = f"Give a geometry of type {self.geom_type}."

    def to_python(self, value):
        if not isinstance(value, str) or value in self.empty_values:
            return super().to_python(value)
        geometry = read_geojson(value)
        validate_geometry(geometry)
        return geometry


class PolygonField(GeoJSONField):
    geom_type = "POLYGON"
    widget = forms.HiddenInput
