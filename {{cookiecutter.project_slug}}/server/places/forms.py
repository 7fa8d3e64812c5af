import re

from django import forms
from django.contrib.gis.geos import Point
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from server.places.models import WGS84, Place, validate_position

POSITION = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*[,;\s]\s*([+-]?\d+(?:\.\d+)?)\s*", re.ASCII)


class PositionField(forms.CharField):
    """A point as `latitude, longitude` in degrees, the order that people use."""

    def to_python(self, value) -> Point | None:
        text = super().to_python(value)
        if not text:
            return None
        numbers = POSITION.fullmatch(text)
        if not numbers:
            raise ValidationError(_("Write latitude and longitude in degrees, like 52.52, 13.405."))
        latitude, longitude = map(float, numbers.groups())
        point = Point(longitude, latitude, srid=WGS84)
        validate_position(point)
        return point

    def prepare_value(self, value):
        return f"{value.y}, {value.x}" if isinstance(value, Point) else value


class PlaceForm(forms.ModelForm):
    position = PositionField(label=_("Latitude, longitude"))

    class Meta:
        model = Place
        fields = ["name", "position"]


class NearForm(forms.Form):
    """The query `?near=52.52,13.405`."""

    near = PositionField(required=False, label=_("Nearest to latitude, longitude"))
