"""The URLs of a tenant's host. `urls_public.py` has the main website's."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import TemplateView

from tenancy.isolation.media import media
from tenancy.requests.views import favicon, robots

urlpatterns = [
    path("", TemplateView.as_view(template_name="tenant_home.html"), name="home"),
    path("", include("tenancy.people.urls")),
    path("workspace/", include("tenancy.workspace.urls")),
    path("notes/", include("server.notes.urls")),
    path("media/<path:path>", media, name="media"),
    path("favicon.ico", favicon),
    path("robots.txt", robots),
    path("admin/", admin.site.urls),
]
# template: if cookiecutter.use_postgis
from django.apps import apps  # noqa: E402 (with the rest of the option)

if apps.is_installed("server.places"):  # not with postgres:// in DATABASE_URL
    urlpatterns += [path("places/", include("server.places.urls"))]
# template: endif
