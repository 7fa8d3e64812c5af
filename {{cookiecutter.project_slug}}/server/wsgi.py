"""The tenants' sites: `gunicorn server.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

# Not setdefault: an inherited variable must not turn this into the main website.
os.environ["DJANGO_SETTINGS_MODULE"] = "server.settings"

application = get_wsgi_application()
