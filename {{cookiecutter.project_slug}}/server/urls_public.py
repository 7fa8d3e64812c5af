"""What the public host answers; `urls.py` is the tenants'."""

from django.urls import include, path

from server.tenants.media import media
from server.website.admin import public_site
from server.website.views import home

urlpatterns = [
    path("", home, name="home"),
    path("", include("server.users.urls")),
    path("media/<path:path>", media, name="media"),
    path("admin/", public_site.urls),
]
