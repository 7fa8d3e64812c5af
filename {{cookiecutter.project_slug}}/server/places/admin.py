from django.contrib import admin
from leaflet.admin import LeafletGeoAdminMixin

from server.places.fields import GeoJSONField, GeoJSONWidget
from server.places.models import Place


@admin.register(Place)
class PlaceAdmin(LeafletGeoAdminMixin, admin.ModelAdmin):
    list_display = ["name", "latitude", "longitude"]
    search_fields = ["name"]
    widget = GeoJSONWidget

    def formfield_for_dbfield(self, db_field, request=None, **kwargs):
        if db_field.name == "position":
            kwargs["form_class"] = GeoJSONField
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def latitude(self, place):
        return place.position.y

    def longitude(self, place):
        return place.position.x
