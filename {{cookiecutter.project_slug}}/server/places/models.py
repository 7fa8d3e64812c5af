from django.contrib.gis.db import models
from django.contrib.gis.db.models.functions import Distance
from django.contrib.gis.geos import Point
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

WGS84 = 4326  # EPSG's number for the longitude and latitude of GPS


def validate_position(point: Point) -> None:
    """Raise ValidationError for values that PostGIS changes: it moves a latitude of 120 to 60."""
    if not (-180 <= point.x <= 180 and -90 <= point.y <= 90):
        message = _("A latitude is from -90 to 90 degrees, a longitude from -180 to 180.")
        raise ValidationError(message)


class PlaceQuerySet(models.QuerySet):
    def nearest_to(self, point: Point) -> "PlaceQuerySet":
        """Order by `distance`, which is measured on the ellipsoid of WGS 84."""
        return self.annotate(distance=Distance("position", point)).order_by("distance", "pk")


class Place(models.Model):
    """An example of a tenant's model with a point on the globe."""

    name = models.CharField(_("name"), max_length=200)
    position = models.PointField(_("position"), geography=True, validators=[validate_position])

    objects = PlaceQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        verbose_name = _("place")
        verbose_name_plural = _("places")

    def __str__(self):
        return self.name
