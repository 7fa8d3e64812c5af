from django.conf import settings
from django.shortcuts import render

from tenancy.people.account.pages import workspaces_of


def home(request):
    """The home page of the main website, with the workspaces of a person who is signed in."""
    workspaces = workspaces_of(request) if request.user.is_authenticated else []
    return render(request, "website/home.html", {"workspaces": workspaces, "debug": settings.DEBUG})
