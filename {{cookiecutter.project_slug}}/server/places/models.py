from django.contrib.gis.db import models
from django.contrib.gis.db.models.functions import Distance
from django.contrib.gis.geos import Point
from django.core.exceptions import ValidationError

WGS84 = 4326  # EPSG's number for longitude and latitude, as GPS has them


def validate_position(point: Point) -> None:
    """Raise ValidationError for what PostGIS would move: a latitude of 120 degrees to one of 60."""
    if not (-180 <= point.x <= 180 and -90 <= point.y <= 90):
        raise ValidationError("A latitude is from -90 to 90 degrees, a longitude from -180 to 180.")


class PlaceQuerySet(models.QuerySet):
    def nearest_to(self, point: Point) -> "PlaceQuerySet":
        """The nearest first, each with its `distance` on the ellipsoid of WGS 84."""
        return self.annotate(distance=Distance("position", point)).order_by("distance", "pk")


class Place(models.Model):
    """An example: a point on the globe, in each tenant's own schema."""

    name = models.CharField(max_length=200)
    position = models.PointField(geography=True, validators=[validate_position])

    objects = PlaceQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self):
        return self.name
