"""The pages at each workspace's host on which its owner and its admins run it."""

from django.urls import path
from django.views.generic import RedirectView

from tenancy.workspace.history import views as history
from tenancy.workspace.keys import views as keys
from tenancy.workspace.people import views as people

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="workspace-people"), name="workspace"),
    path("people/", people.people, name="workspace-people"),
    path("people/owner/", people.owner, name="workspace-owner"),
    path("people/<int:pk>/role/", people.role, name="workspace-role"),
    path("people/<int:pk>/remove/", people.remove, name="workspace-remove"),
    path("people/invitations/<int:pk>/", people.invitation, name="workspace-invitation"),
    path("keys/", keys.keys, name="workspace-keys"),
    path("keys/new/", keys.new, name="workspace-new-key"),
    path("keys/<int:pk>/revoke/", keys.revoke_key, name="workspace-revoke-key"),
    path("history/", history.history, name="workspace-history"),
    path("history/csv/", history.as_csv, name="workspace-history-csv"),
]
