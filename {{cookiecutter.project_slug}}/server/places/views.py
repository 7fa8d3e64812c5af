from django.contrib.auth.mixins import LoginRequiredMixin
from django.urls import reverse_lazy
from django.views.generic import CreateView

from server.places.forms import NearForm, PlaceForm
from server.places.models import Place

MAX_SHOWN = 1000


class Places(LoginRequiredMixin, CreateView):
    """A map, the places (with `?near=` the nearest first), and a form to add one."""

    model = Place
    form_class = PlaceForm
    template_name = "places/places.html"
    success_url = reverse_lazy("places")

    def get_context_data(self, **kwargs):
        near = NearForm(self.request.GET)
        point = near.cleaned_data["near"] if near.is_valid() else None
        places = Place.objects.nearest_to(point) if point else Place.objects.all()
        places = places[:MAX_SHOWN]
        points = [[place.name, place.position.y, place.position.x] for place in places]
        return super().get_context_data(near=near, places=places, points=points, **kwargs)
