"""The main website's pages about workspaces: a person's own, and a new one."""

from django.conf import settings
from django.urls import path

from tenancy.workspace import mine
from tenancy.workspace.new import views

urlpatterns = [
    path("", mine.workspaces, name="workspaces"),
    path("find/", mine.find, name="workspaces-find"),
    path("bring-back/", mine.bring_back, name="workspaces-bring-back"),
]
if settings.SIGN_UP:
    urlpatterns += [
        path("new/", views.new, name="workspace-new"),
        path("new/address/", views.address, name="workspace-address"),
        path("new/<slug:slug>/", views.progress, name="workspace-progress"),
    ]
