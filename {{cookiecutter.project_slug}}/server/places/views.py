from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpRequest, JsonResponse
from django.urls import reverse_lazy
from django.views.decorators.http import require_safe
from django.views.generic import CreateView

from server.places.forms import PlaceForm, SearchForm
from server.places.models import Place

MOST = 1000  # places that an answer shows


class Places(LoginRequiredMixin, CreateView):
    """A map, the places that the query asks for, and a form for one more."""

    model = Place
    form_class = PlaceForm
    template_name = "places/places.html"
    success_url = reverse_lazy("places")

    def get_context_data(self, **kwargs):
        search = SearchForm(self.request.GET)
        places = search.places()[:MOST] if search.is_valid() else []
        return super().get_context_data(search=search, places=places, most=MOST, **kwargs)

    def render_to_response(self, context, **kwargs):
        status = 200 if context["search"].is_valid() else 400
        return super().render_to_response(context, status=status, **kwargs)


@require_safe
@login_required
def geojson(request: HttpRequest) -> JsonResponse:
    """The same places as GeoJSON (RFC 7946), with `distance` in metres where the query says near
    what; status 400 and the errors of each parameter where the query can't be understood."""
    search = SearchForm(request.GET)
    if not search.is_valid():
        return JsonResponse({"errors": search.errors}, status=400)
    features = [feature(place) for place in search.places()[:MOST]]
    return JsonResponse(
        {"type": "FeatureCollection", "features": features}, content_type="application/geo+json"
    )


def feature(place: Place) -> dict:
    properties = {"name": place.name}
    if hasattr(place, "distance"):
        properties["distance"] = place.distance.m
    geometry = {"type": "Point", "coordinates": place.position.coords}  # longitude, latitude
    return {"type": "Feature", "id": place.pk, "geometry": geometry, "properties": properties}
