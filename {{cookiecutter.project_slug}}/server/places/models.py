from django.contrib.gis.db import models
from django.contrib.gis.db.models.functions import Distance
from django.contrib.gis.geos import Point, Polygon
from django.contrib.postgres.indexes import GistIndex
from django.db.models.functions import Cast

from server.places.validators import validate_geometry


def on_the_plane():
    """The position as geometry, whose lines are straight on a map, as those of GeoJSON are; the
    edges of a polygon of geography are the shortest ways on the globe and leave the parallels."""
    return Cast("position", models.PointField())


class PlaceQuerySet(models.QuerySet):
    def nearest_to(self, point: Point) -> "PlaceQuerySet":
        """The nearest first, each with its `distance` on the ellipsoid of WGS 84."""
        return self.annotate(distance=Distance("position", point)).order_by("distance", "pk")

    def inside(self, area: Polygon) -> "PlaceQuerySet":
        """Those within the area or on its edge."""
        return self.alias(planar=on_the_plane()).filter(planar__coveredby=area)


class Place(models.Model):
    """An example: a point on the globe, in each tenant's own schema."""

    name = models.CharField(max_length=200)
    position = models.PointField(geography=True, validators=[validate_geometry])

    objects = PlaceQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        indexes = [GistIndex(on_the_plane(), name="places_place_planar")]

    def __str__(self):
        return self.name
