from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from server.places.forms import PlaceForm
from server.places.models import Place


@admin.register(Place)
class PlaceAdmin(admin.ModelAdmin):
    form = PlaceForm
    list_display = ["name", "latitude", "longitude"]
    search_fields = ["name"]

    @admin.display(description=_("latitude"))
    def latitude(self, place):
        return place.position.y

    @admin.display(description=_("longitude"))
    def longitude(self, place):
        return place.position.x
