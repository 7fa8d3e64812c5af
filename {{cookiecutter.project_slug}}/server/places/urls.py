from django.urls import path

from server.places.views import Places

urlpatterns = [path("", Places.as_view(), name="places")]
