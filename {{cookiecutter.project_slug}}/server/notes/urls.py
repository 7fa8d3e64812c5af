from django.urls import path

from server.notes.views import Notes

urlpatterns = [path("", Notes.as_view(), name="notes")]
