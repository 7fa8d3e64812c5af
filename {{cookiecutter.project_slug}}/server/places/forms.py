from django import forms

from server.places.fields import PolygonField, PositionField
from server.places.models import Place, PlaceQuerySet


class PlaceForm(forms.ModelForm):
    position = PositionField(label="Latitude, longitude")

    class Meta:
        model = Place
        fields = ["name", "position"]


class SearchForm(forms.Form):
    """`?near=52.52,13.405` and `?within={"type": "Polygon", …}`, one or both or none."""

    near = PositionField(required=False, label="Nearest to latitude, longitude")
    within = PolygonField(required=False)

    def places(self) -> PlaceQuerySet:
        """What a valid form asks for."""
        places = Place.objects.all()
        if area := self.cleaned_data["within"]:
            places = places.inside(area)
        if point := self.cleaned_data["near"]:
            places = places.nearest_to(point)
        return places
