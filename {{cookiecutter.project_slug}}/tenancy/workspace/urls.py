"""The pages at each workspace's host on which its owner and its admins run it."""

from django.urls import path
from django.views.generic import RedirectView

from tenancy.workspace.data import views as data
from tenancy.workspace.domains import views as domains
from tenancy.workspace.history import views as history
from tenancy.workspace.keys import views as keys
from tenancy.workspace.people import views as people
from tenancy.workspace.settings import look
from tenancy.workspace.settings import views as settings
from tenancy.workspace.support import views as support

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="workspace-people"), name="workspace"),
    path("people/", people.people, name="workspace-people"),
    path("people/owner/", people.owner, name="workspace-owner"),
    path("people/<int:pk>/role/", people.role, name="workspace-role"),
    path("people/<int:pk>/remove/", people.remove, name="workspace-remove"),
    path("people/invitations/<int:pk>/", people.invitation, name="workspace-invitation"),
    path("settings/", settings.settings, name="workspace-settings"),
    path("settings/address/", settings.address, name="workspace-settings-address"),
    path("logo.webp", look.logo, name="workspace-logo"),
    path("style.css", look.style, name="workspace-style"),
    path("domains/", domains.domains, name="workspace-domains"),
    path("domains/new/", domains.new, name="workspace-new-domain"),
    path("domains/primary/", domains.primary, name="workspace-domain-primary"),
    path("domains/<int:pk>/check/", domains.check, name="workspace-domain-check"),
    path("domains/<int:pk>/remove/", domains.remove, name="workspace-domain-remove"),
    path("keys/", keys.keys, name="workspace-keys"),
    path("keys/new/", keys.new, name="workspace-new-key"),
    path("keys/<int:pk>/revoke/", keys.revoke_key, name="workspace-revoke-key"),
    path("history/", history.history, name="workspace-history"),
    path("history/csv/", history.as_csv, name="workspace-history-csv"),
    path("data/", data.data, name="workspace-data"),
    path("data/export/", data.export, name="workspace-export"),
    path("data/export/<int:pk>/", data.download, name="workspace-export-download"),
    path("data/backup/", data.back_up, name="workspace-backup"),
    path("data/backup/<int:pk>/restore/", data.copy, name="workspace-restore"),
    path("data/duplicate/", data.copy, name="workspace-duplicate"),
    path("data/delete/", data.delete, name="workspace-delete"),
    path("support/", support.allow, name="workspace-support"),
    path("support/end/", support.end, name="workspace-support-end"),
]
