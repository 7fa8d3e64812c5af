from django.urls import path

from server.places.views import Places, geojson

urlpatterns = [
    path("", Places.as_view(), name="places"),
    path("geojson/", geojson, name="places-geojson"),
]
