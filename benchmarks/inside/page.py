"""The page that is measured, the same in all projects: who asks, and one note."""

from django.apps import apps
from django.http import HttpResponse
from django.urls import path


def page(request):
    return HttpResponse(f"{request.user} reads: {apps.get_model('notes.Note').objects.first()}")


urlpatterns = [path("", page)]
