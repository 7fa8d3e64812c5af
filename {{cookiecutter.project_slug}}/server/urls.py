"""What a tenant's host answers; `urls_public.py` is the public host's."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import TemplateView

from tenancy.isolation.media import media

urlpatterns = [
    path("", TemplateView.as_view(template_name="tenant_home.html"), name="home"),
    path("", include("tenancy.people.urls")),
    path("notes/", include("server.notes.urls")),
    path("media/<path:path>", media, name="media"),
    path("admin/", admin.site.urls),
]
# template: if cookiecutter.use_postgis
from django.apps import apps  # noqa: E402 (a block of its own can't stand among the imports)

if apps.is_installed("server.places"):  # it isn't with a DATABASE_URL of postgres://
    urlpatterns += [path("places/", include("server.places.urls"))]
# template: endif
