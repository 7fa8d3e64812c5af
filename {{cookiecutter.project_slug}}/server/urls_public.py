"""The URLs of the main website. `urls.py` has the tenants'."""

from django.urls import include, path

from server.website.admin import public_site
from server.website.views import home
from tenancy.isolation.media import media
from tenancy.requests.views import favicon, robots

urlpatterns = [
    path("", home, name="home"),
    path("", include("tenancy.people.urls_public")),
    path("workspaces/", include("tenancy.workspace.urls_public")),
    path("media/<path:path>", media, name="media"),
    path("favicon.ico", favicon),
    path("robots.txt", robots),
    path("admin/", public_site.urls),
]
