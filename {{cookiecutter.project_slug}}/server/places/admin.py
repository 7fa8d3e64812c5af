from django.contrib import admin

from server.places.forms import PlaceForm
from server.places.models import Place


@admin.register(Place)
class PlaceAdmin(admin.ModelAdmin):
    form = PlaceForm
    list_display = ["name", "latitude", "longitude"]
    search_fields = ["name"]

    def latitude(self, place):
        return place.position.y

    def longitude(self, place):
        return place.position.x
