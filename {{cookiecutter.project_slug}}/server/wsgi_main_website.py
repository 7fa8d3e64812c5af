"""The main website: `gunicorn server.wsgi_main_website`."""

import os

from django.core.wsgi import get_wsgi_application

# Not setdefault: an inherited variable must not turn this into the tenants' sites.
os.environ["DJANGO_SETTINGS_MODULE"] = "server.settings_public"

application = get_wsgi_application()
