"""The tenants' sites: `gunicorn server.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

# Not setdefault: a variable that leaked in must not turn this into the main website.
os.environ["DJANGO_SETTINGS_MODULE"] = "server.settings"

application = get_wsgi_application()
